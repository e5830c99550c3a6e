"""What replacing a part of a template does to the face decoded from it, and what each part says of perceived gender."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn

from dfd.core.left_out import LeftOut
from dfd.decoder.registry import decode
from dfd.measures.estimates import TOO_FEW, Estimate, People, percentiles
from dfd.measures.gender import GenderClassifier
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.studies.disentangling.pfrnet import PFRNet, modified, parts
from dfd.templates.embedding import embed_images
from dfd.templates.people import spread

# replacement -> the one that it is compared with: whose mean it is, and which part
COUNTERPARTS = {
    "identity-male": "identity-female",
    "attribute-male": "attribute-female",
    "identity-both": "attribute-both",
}
STRENGTHS = (
    1e-3,
    1e-2,
    1e-1,
    1.0,
)  # inverse regularisations of the probe (scikit-learn's C), tried on validation faces


def balanced_accuracy(predicted: np.ndarray, male: np.ndarray) -> float:
    """The mean of the two classes' recalls: 0.5 by chance, however many faces each class has. Both (N,) bool."""
    return float((predicted[male].mean() + (~predicted[~male]).mean()) / 2)


def balanced(predicted: np.ndarray, male: np.ndarray, people: People) -> Estimate:
    """`balanced_accuracy` with its interval; resamplings without a face of one class are passed over."""
    recalls = []
    for members, right in ((male, predicted), (~male, ~predicted)):
        counts, hits = (
            np.bincount(people.codes[members], weights, minlength=len(people)) for weights in (None, right[members])
        )
        with np.errstate(invalid="ignore"):
            recalls.append((people.weights @ hits) / (people.weights @ counts))
    replicates = np.mean(recalls, 0)
    accuracy = Estimate(balanced_accuracy(predicted, male), n=len(male), people=len(people))
    if min(len(np.unique(people.codes[members])) for members in (male, ~male)) < 2:
        return accuracy._replace(left_out=TOO_FEW)
    low, high = percentiles(replicates[~np.isnan(replicates)])
    return accuracy._replace(low=low, high=high)


class Probe:
    """A linear classifier of perceived gender: logistic regression on standardised features, classes weighing alike.

    It sees what a hyperplane can separate, and no more: a part without a linear trace can still hold another.
    """

    def __init__(self, features: torch.Tensor, male: np.ndarray, held_out: torch.Tensor, held_out_male: np.ndarray):
        """Fitted on training faces, its strength chosen by the balanced accuracy on held-out ones."""
        x = features.double().numpy()
        self.mean, self.scale = x.mean(0), np.maximum(x.std(0), 1e-12)
        best = -1.0
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
            model.fit((x - self.mean) / self.scale, male)
            reached = balanced_accuracy(self._predict(model, held_out), held_out_male)
            if reached > best:
                best, self.model = reached, model

    def _predict(self, model: LogisticRegression, features: torch.Tensor) -> np.ndarray:
        return model.predict((features.double().numpy() - self.mean) / self.scale).astype(bool)

    def predict(self, features: torch.Tensor) -> np.ndarray:
        """Male or not, (N,) bool, of features (N, K)."""
        return self._predict(self.model, features)


def fit_probes(
    training: Mapping[str, torch.Tensor],
    male: np.ndarray,
    held_out: Mapping[str, torch.Tensor],
    held_out_male: np.ndarray,
) -> dict[str, Probe]:
    """A probe for each part, from the parts (N, K) of training and of held-out templates by name."""
    return {part: Probe(features, male, held_out[part], held_out_male) for part, features in training.items()}


def measure(
    net: PFRNet,
    probes: Mapping[str, Probe],
    decoder: nn.Module | None,
    classifier: GenderClassifier,
    judges: Mapping[str, Recognizer],
    templates: Mapping[str, torch.Tensor],
    male: np.ndarray,
    people: People,
    cosine_faces: int,
) -> dict:
    """The metrics of one data set's test faces.

    judges: recognizers, first the one whose templates are split; templates: of the faces by judge, (N, D). male: labels
    (N,) bool. `probe`, `template_cosine` (what passing through the network costs by itself) and, where there is a
    decoder, `gender` of the faces decoded and, of `cosine_faces` of them, `cosine` by judge.
    """
    vectors = templates[next(iter(judges))]
    changed = modified(net, vectors)
    guesses = {part: probes[part].predict(values) for part, values in parts(net, vectors).items()}
    kept = F.cosine_similarity(changed["unmodified"], vectors).numpy()
    metrics = {
        "n_faces": len(vectors),
        "n_identities": len(people),
        "n_male": int(male.sum()),
        "n_female": int((~male).sum()),
        "probe": probe_metrics(guesses, male, people),
        "template_cosine": people.mean(kept).metrics(),
    }
    if decoder is None:
        return metrics
    images = {name: decode(decoder, values) for name, values in changed.items()}
    p_male = {name: classifier(image) for name, image in images.items()}
    metrics["gender"] = gender_metrics(p_male, people)
    few = spread(np.arange(len(vectors)), cosine_faces)
    images = {name: image[few] for name, image in images.items()}
    metrics["cosine"] = {
        name: cosine_metrics(images, judge, templates[name][few], people.among(few)) for name, judge in judges.items()
    }
    return metrics


def probe_metrics(predicted: Mapping[str, np.ndarray], male: np.ndarray, people: People) -> dict:
    """By part, what its probe predicted (N,): balanced and plain accuracy with intervals, beside chance.

    chance: `balanced_accuracy` 0.5 and, of plain accuracy, the share of the larger class. Null, with a note, where the
    faces have one class only.
    """
    if male.all() or not male.any():
        return LeftOut("left out: all test faces have one label").metrics(*predicted, note="probe")
    metrics: dict = {"chance": {"balanced_accuracy": 0.5, "accuracy": float(max(male.mean(), 1 - male.mean()))}}
    for part, values in predicted.items():
        metrics[part] = {
            "balanced_accuracy": balanced(values, male, people).metrics("value"),
            "accuracy": people.mean(values == male).metrics(),
        }
    return metrics


def gender_metrics(p_male: Mapping[str, np.ndarray], people: People) -> dict:
    """By replacement, from P(male) (N,) of the reconstructions, `unmodified` among them.

    p_male: its mean, and `minus_<other>` of COUNTERPARTS, paired. flipped: the share of faces where it crosses one half against the unmodified template's
    reconstruction; to_female, to_male: the same of those faces only that were on the other side (null where none was).
    All with intervals.
    """
    before = p_male["unmodified"] > 0.5
    metrics = {}
    for name, values in p_male.items():
        metrics[name] = {"p_male": people.mean(values).metrics()}
        if (other := COUNTERPARTS.get(name)) in p_male:
            difference = people.difference(values, p_male[other]).metrics()
            metrics[name]["p_male"][f"minus_{other}"] = difference
        if name == "unmodified":
            continue
        flipped = (values > 0.5) != before
        metrics[name]["flipped"] = _rate(flipped, people)
        for word, members in (("to_female", before), ("to_male", ~before)):
            metrics[name][word] = _rate(flipped[members], people.among(members))
    return metrics


def _rate(happened: np.ndarray, people: People) -> dict:
    nobody = Estimate(None, n=0, left_out=LeftOut("there are no such faces"))
    rate = people.mean(happened) if len(happened) else nobody
    return rate.metrics(hits="count", n=True, note="rate")


def cosine_metrics(
    images: Mapping[str, torch.Tensor], recognizer: Recognizer, templates: torch.Tensor, people: People
) -> dict:
    """By replacement, the cosine of the reconstruction's template with the original's: mean, `change` from unmodified,
    `minus_<other>` of COUNTERPARTS, both paired.

    images: (N, 3, S, S) by replacement, `unmodified` among them; templates: the originals', (N, D). Null, with a note,
    for a recognizer that embeds no images.
    """
    if not recognizer.embeds_images:
        return NO_IMAGES.metrics(*images, note="cosine")
    cosines = {name: cosines_of(recognizer, image, templates) for name, image in images.items()}
    metrics = {}
    for name, values in cosines.items():
        metrics[name] = people.mean(values).metrics(n=True)
        if name != "unmodified":
            metrics[name]["change"] = people.difference(values, cosines["unmodified"]).metrics()
        if (other := COUNTERPARTS.get(name)) in cosines:
            metrics[name][f"minus_{other}"] = people.difference(values, cosines[other]).metrics()
    return metrics


def modified_faces(
    net: PFRNet, decoders: Mapping[str, nn.Module], templates: torch.Tensor, originals: torch.Tensor
) -> dict[str, dict[str, torch.Tensor]]:
    """By variant the columns of Fig. 17: `original`, and templates (N, D) decoded with each replacement, (N, 3, S, S)."""
    changed = modified(net, templates)
    return {
        name: {"original": originals} | {kind: decode(decoder, values) for kind, values in changed.items()}
        for name, decoder in decoders.items()
    }


def cosines_of(recognizer: Recognizer, images: torch.Tensor, templates: torch.Tensor) -> np.ndarray:
    """Cosine (N,) of images' (N, 3, S, S) templates with templates (N, D)."""
    return F.cosine_similarity(embed_images(recognizer, images), templates).numpy()


def pick_faces(male: np.ndarray, identities: Sequence[str], count: int) -> np.ndarray:
    """Indices of at most `count` people of each class, women first: each one's first face, spread over the people."""
    identities, picks = np.asarray(identities), []
    for members in (np.flatnonzero(~male), np.flatnonzero(male)):
        _, first = np.unique(identities[members], return_index=True)
        picks.append(members[spread(np.sort(first), count)])
    return np.concatenate(picks)
