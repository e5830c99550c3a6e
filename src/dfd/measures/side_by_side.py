"""Recognizers side by side, on the same faces: how well each verifies, and what the linear maps gain for each."""

from collections.abc import Mapping

import numpy as np

from dfd.measures.acceptance import has_pairs
from dfd.measures.verification import FARS, Pairs, cosine_pairs, gain_difference, paired_summary, verification_summary

NO_PAIRS = "left out: no person has two photos, or there is but one person"


def verification_by_recognizer(
    templates: Mapping[str, np.ndarray], identities: np.ndarray, samples: int, seed: int
) -> dict:
    """`verification`: by recognizer its `verification_summary`; all but the first have `minus_<first>`, paired.

    templates: by recognizer, (N, D) of the same faces. `verification_note` in its place where there are no pairs.
    """
    if not has_pairs(identities):
        return {"verification_note": NO_PAIRS}
    (first, reference), *others = ((name, cosine_pairs(own, own, identities)) for name, own in templates.items())
    found = {first: verification_summary(reference, samples=samples, generator=np.random.default_rng(seed))}
    for name, pairs in others:
        compared = paired_summary(pairs, reference, samples=samples, generator=np.random.default_rng(seed))
        found[name] = compared["with"] | {f"minus_{first}": compared["difference"]}
    return {"verification": found}


def gains_by_recognizer(
    originals: Mapping[str, np.ndarray],
    perturbed: Mapping[str, Mapping[str, np.ndarray]],
    mapped: Mapping[str, Mapping[str, np.ndarray]],
    identities: np.ndarray,
    samples: int,
    seed: int,
) -> dict:
    """By condition and recognizer but the first, `minus_<first>`: how much more its map gains than that of the first.

    originals: by recognizer, (N, D) of the same faces; perturbed, mapped: by recognizer and condition, alike. What a map
    gains in verification is what `paired_summary` gives as `difference`; see `gain_difference`.
    """
    if not has_pairs(identities):
        return {"maps_note": NO_PAIRS}
    first, *others = originals
    metrics: dict = {}
    for condition in perturbed[first]:

        def sides(name: str, condition: str = condition) -> tuple[Pairs, Pairs]:
            views = mapped[name][condition], perturbed[name][condition]
            return tuple(cosine_pairs(originals[name], view, identities) for view in views)

        reference = sides(first)
        metrics[condition] = {
            name: {
                f"minus_{first}": gain_difference(
                    sides(name), reference, FARS, samples, generator=np.random.default_rng(seed)
                )
            }
            for name in others
        }
    return metrics
