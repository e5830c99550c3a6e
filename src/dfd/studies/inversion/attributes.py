"""Attributes that a template gives away: perceived gender and age, by a probe on templates and in the decoded faces.

What is read is what a network sees in a picture, see `dfd.measures.gender`, and no statement about a person.
"""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dfd.core.left_out import LeftOut
from dfd.measures.estimates import TOO_FEW, Estimate, People, percentiles

STRENGTH = 0.01  # inverse regularisation of the gender probe (scikit-learn's C)
ONE_GENDER_TAUGHT = LeftOut("the training faces are all seen as one gender")
ONE_GENDER = LeftOut("the faces are all seen as one gender")
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
    gender = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500))
    age = make_pipeline(StandardScaler(), RidgeCV(RIDGES))
    return Perceived(gender.fit(x, labels.male).predict(y).astype(bool), age.fit(x, labels.age).predict(y))


def attribute_metrics(
    told: dict[str, Perceived | None], labels: Perceived, training: Perceived, people: People
) -> dict:
    """By source (photo, probe, reconstruction) how well it tells the labels of test faces.

    `gender`: the share told rightly, `mean`, beside `chance`, that of the more frequent of the two; and `balanced`, each
    gender counting half, which is 0.5 by chance. `age`: the mean error in years, beside `chance`, that of the median age
    of training faces. `minus_chance`: paired. Null, with a note, for a probe that could not be fitted.
    """
    majority = labels.male.mean() >= 0.5
    chance = {
        "gender": (labels.male == majority).astype(float),
        "age": np.abs(labels.age - np.median(training.age)),
    }
    metrics: dict = {"n_male": int(labels.male.sum()), "n_female": int((~labels.male).sum())}
    for measure, by_chance in chance.items():
        metrics[measure] = {"chance": float(by_chance.mean())}
        for source, guess in told.items():
            if guess is None:
                metrics[measure][source] = Estimate(None, left_out=ONE_GENDER_TAUGHT).metrics(note="probe")
                continue
            right = (guess.male == labels.male).astype(float) if measure == "gender" else np.abs(guess.age - labels.age)
            metrics[measure][source] = people.mean(right).metrics()
            metrics[measure][source]["minus_chance"] = people.difference(right, by_chance).metrics()
            if measure == "gender":
                metrics[measure][source]["balanced"] = _balanced(guess.male, labels.male, people)
    return metrics


def _balanced(told: np.ndarray, male: np.ndarray, people: People) -> dict:
    """The mean of both genders' shares; a resampling without anybody of one of them is passed over."""
    if male.all() or not male.any():
        return Estimate(None, left_out=ONE_GENDER).metrics("value", note="balanced")
    recalls = []
    for members in (male, ~male):
        counts, hits = (
            np.bincount(people.codes, part, minlength=len(people)) for part in (members, members & (told == male))
        )
        with np.errstate(invalid="ignore"):
            recalls.append(np.append(hits.sum() / counts.sum(), (people.weights @ hits) / (people.weights @ counts)))
    value, *replicates = np.mean(recalls, 0)
    if min(len(np.unique(people.codes[part])) for part in (male, ~male)) < 2:
        return Estimate(float(value), left_out=TOO_FEW).metrics("value")
    replicates = np.array(replicates)
    return Estimate(float(value), *percentiles(replicates[~np.isnan(replicates)])).metrics("value")
