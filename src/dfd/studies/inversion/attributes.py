"""Attributes that a template gives away: perceived gender and age, by a probe on templates and in the decoded faces; and
glasses and a smile, of data sets that list them.

Of gender and age what is read is what a network sees in a picture, see `dfd.measures.gender`, and no statement about a
person. Of what is listed no network here sees anything in a picture: a linear probe on a recognizer's templates stands for
one, of photos as of reconstructions. It learned from photos of other people, and the recognizer is another than the attacked
one where there is one: the attacked one's templates of reconstructions are what decoders are made to give back.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from dfd.core.left_out import LeftOut
from dfd.faces.store import FaceStore
from dfd.measures.estimates import TOO_FEW, Estimate, People, percentiles

STRENGTH = 0.01  # inverse regularisation of the gender probe (scikit-learn's C)
ONE_GENDER_TAUGHT = LeftOut("the training faces are all seen as one gender")
ONE_KIND = LeftOut("the faces are all of one kind")
TRAITS = ("glasses", "smile")  # columns of a face index, of data sets that list them
FOLDS = 5  # of people: those of one are told by a probe of the others
FEWEST = 10  # photos that show a trait, and that do not, from which a probe learns
RIDGES = 10.0 ** np.arange(-1, 5)  # of the age probe, chosen by leaving one out


class Perceived(NamedTuple):
    """Perceived attributes of faces: male (N,) bool and age (N,) in years."""

    male: np.ndarray
    age: np.ndarray


def by_person(perceived: Perceived, identities: np.ndarray) -> Perceived:
    """One label for each identity (N,): whether most of its faces are seen as male, and the mean age seen."""
    _, codes = np.unique(identities, return_inverse=True)
    counts = np.bincount(codes)
    male, age = (np.bincount(codes, part) / counts for part in perceived)
    return Perceived((male > 0.5)[codes], age[codes])


def probed(training: torch.Tensor, labels: Perceived, templates: torch.Tensor) -> Perceived | None:
    """What linear probes of training templates (M, D) and their labels tell of templates (N, D); None where training faces
    are all seen as one gender."""
    if labels.male.all() or not labels.male.any():
        return None
    x, y = training.double().numpy(), templates.double().numpy()
    age = make_pipeline(StandardScaler(), RidgeCV(RIDGES))
    return Perceived(_linear_probe(x, labels.male).predict(y).astype(bool), age.fit(x, labels.age).predict(y))


def _linear_probe(templates: np.ndarray, flags: np.ndarray) -> Pipeline:
    """Fitted to tell flags (M,) of templates (M, D), both kinds weighing alike."""
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
    return make_pipeline(StandardScaler(), model).fit(templates, flags)


def attribute_metrics(
    told: dict[str, Perceived | None], labels: Perceived, training: Perceived, people: People
) -> dict:
    """By source (photo, probe, reconstruction) how well it tells the labels of test faces.

    `gender`: the share told rightly, `mean`, beside `chance`, that of the more frequent of the two; and `balanced`, each
    gender counting half, which is 0.5 by chance. `age`: the mean error in years, beside `chance`, that of the median age
    of training faces. `minus_chance`: paired. Null, with a note, for a probe that could not be fitted.
    """
    by_chance = np.abs(labels.age - np.median(training.age))
    metrics: dict = {"n_male": int(labels.male.sum()), "n_female": int((~labels.male).sum())}
    metrics["gender"] = {"chance": float(_by_majority(labels.male).mean())}
    metrics["age"] = {"chance": float(by_chance.mean())}
    for source, guess in told.items():
        if guess is None:
            nothing = Estimate(None, left_out=ONE_GENDER_TAUGHT).metrics(note="probe")
            metrics["gender"][source] = metrics["age"][source] = nothing
            continue
        metrics["gender"][source] = _told_rightly(guess.male, labels.male, people)
        missed = np.abs(guess.age - labels.age)
        metrics["age"][source] = people.mean(missed).metrics()
        metrics["age"][source]["minus_chance"] = people.difference(missed, by_chance).metrics()
    return metrics


def listed(faces: FaceStore, rows: np.ndarray) -> dict[str, np.ndarray]:
    """By trait that the data set lists whether the photos `rows` (N,) show it: 1, 0, or NaN where that is not known."""
    return {
        trait: faces.faces[trait].to_numpy(float, na_value=np.nan)[rows] for trait in TRAITS if trait in faces.faces
    }


def trait_metrics(
    shows: np.ndarray,
    identities: np.ndarray,
    attacked: np.ndarray,
    probes: Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]],
    samples: int,
    seed: int,
) -> dict:
    """How well a trait of the photos `attacked` (K,) is told, of N photos with flags `shows` and `identities` (N,).

    probes: templates (N, D) of the photos, from which a probe learns, and by source templates (K, D) that it is shown. By source the share told rightly, `mean`, beside `chance`, that of the more frequent kind, `minus_chance`, paired,
    and `balanced`, each kind counting half, which is 0.5 by chance. Null, with a note, where there are too few of a kind.
    """
    flags, whose = shows.astype(bool), identities[attacked]
    metrics: dict = {"n_with": int(flags[attacked].sum()), "n_without": int((~flags[attacked]).sum())}
    _, codes = np.unique(identities, return_inverse=True)
    folds = np.random.default_rng(seed).permutation(codes.max() + 1)[codes] % FOLDS
    fewest = min((flags[folds != fold] == kind).sum() for fold in range(FOLDS) for kind in (False, True))
    if fewest < FEWEST:
        sources = [source for _, seen in probes for source in seen]
        few = LeftOut(f"{int(flags.sum())} photos show it and {int((~flags).sum())} do not: too few for a probe")
        return metrics | few.metrics("chance", *sources, note="probe")
    people, told = People(whose, samples, seed), {}
    for templates, seen in probes:
        told |= {source: np.zeros(len(attacked), bool) for source in seen}
        for fold in np.unique(folds[attacked]):
            probe, held = _linear_probe(templates[folds != fold], flags[folds != fold]), folds[attacked] == fold
            for source, part in seen.items():
                told[source][held] = probe.predict(part[held])
    metrics["chance"] = float(_by_majority(flags[attacked]).mean())
    return metrics | {source: _told_rightly(guess, flags[attacked], people) for source, guess in told.items()}


def _by_majority(flags: np.ndarray) -> np.ndarray:
    """Whether each of flags (N,) is told rightly by who knows the more frequent kind alone."""
    return (flags == (flags.mean() >= 0.5)).astype(float)


def _told_rightly(guess: np.ndarray, flags: np.ndarray, people: People) -> dict:
    """The share of flags (N,) that is guessed, `mean`, with `minus_chance` and `balanced`."""
    right = (guess == flags).astype(float)
    metrics = people.mean(right).metrics()
    metrics["minus_chance"] = people.difference(right, _by_majority(flags)).metrics()
    return metrics | {"balanced": _balanced(guess, flags, people)}


def _balanced(told: np.ndarray, flags: np.ndarray, people: People) -> dict:
    """The mean of both kinds' shares; a resampling without anybody of one of them is passed over."""
    if flags.all() or not flags.any():
        return Estimate(None, left_out=ONE_KIND).metrics("value", note="balanced")
    recalls = []
    for members in (flags, ~flags):
        counts, hits = (
            np.bincount(people.codes, part, minlength=len(people)) for part in (members, members & (told == flags))
        )
        with np.errstate(invalid="ignore"):
            recalls.append(np.append(hits.sum() / counts.sum(), (people.weights @ hits) / (people.weights @ counts)))
    value, *replicates = np.mean(recalls, 0)
    if min(len(np.unique(people.codes[part])) for part in (flags, ~flags)) < 2:
        return Estimate(float(value), left_out=TOO_FEW).metrics("value")
    replicates = np.array(replicates)
    return Estimate(float(value), *percentiles(replicates[~np.isnan(replicates)])).metrics("value")
