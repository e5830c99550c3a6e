"""Recognizers side by side, on the same faces: how well each verifies, and what the linear maps gain for each."""

from collections.abc import Mapping

import numpy as np

from dfd.core.left_out import LeftOut
from dfd.measures.acceptance import NO_PAIRS, has_pairs
from dfd.measures.estimates import People, Verification
from dfd.measures.verification import cosine_pairs

NOBODY = LeftOut(f"left out: {NO_PAIRS}")


def verification_by_recognizer(templates: Mapping[str, np.ndarray], people: People) -> dict:
    """`verification`: by recognizer its `Verification`'s metrics; all but the first have `minus_<first>`, paired.

    templates: by recognizer, (N, D) of the same faces. `verification_note` in its place where there are no pairs.
    """
    if not has_pairs(people.identities):
        return NOBODY.metrics(note="verification")
    found = {name: people.verification(cosine_pairs(own, own, people.identities)) for name, own in templates.items()}
    first, *others = found
    metrics = {name: verification.metrics() for name, verification in found.items()}
    for name in others:
        metrics[name][f"minus_{first}"] = (found[name] - found[first]).metrics()
    return {"verification": metrics}


def gains_by_recognizer(
    originals: Mapping[str, np.ndarray],
    perturbed: Mapping[str, Mapping[str, np.ndarray]],
    mapped: Mapping[str, Mapping[str, np.ndarray]],
    people: People,
) -> dict:
    """By condition and recognizer but the first, `minus_<first>`: how much more its map gains than that of the first.

    originals: by recognizer, (N, D) of the same faces; perturbed, mapped: by recognizer and condition, alike. What a map
    gains is the verification with it minus that without, and one gain minus another is paired like each of them.
    """
    if not has_pairs(people.identities):
        return NOBODY.metrics(note="maps")
    first, *others = originals
    metrics: dict = {}
    for condition in perturbed[first]:

        def gain(name: str, condition: str = condition) -> Verification:
            views = mapped[name][condition], perturbed[name][condition]
            with_, without = (cosine_pairs(originals[name], view, people.identities) for view in views)
            return people.verification(with_) - people.verification(without)

        reference = gain(first)
        metrics[condition] = {name: {f"minus_{first}": (gain(name) - reference).metrics()} for name in others}
    return metrics
