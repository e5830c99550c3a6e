"""Recognizers side by side, on the same faces: how well each verifies."""

from collections.abc import Mapping

import numpy as np

from dfd.core.left_out import LeftOut
from dfd.measures.acceptance import NO_PAIRS, has_pairs
from dfd.measures.estimates import People
from dfd.measures.verification import cosine_pairs

NOBODY = LeftOut(f"left out: {NO_PAIRS}")


def verification_by_recognizer(templates: Mapping[str, np.ndarray], people: People) -> dict:
    """`verification`: by recognizer its `Verification`'s metrics; all but the first have `minus_<first>`, paired.

    templates: by recognizer, (N, D) of the same faces. `verification_note` in its place where there are no pairs.
    """
    if not has_pairs(people.identities):
        return NOBODY.metrics(note="verification")
    verifications = {
        name: people.verification(cosine_pairs(vectors, vectors, people.identities))
        for name, vectors in templates.items()
    }
    first, *others = verifications
    metrics = {name: verification.metrics() for name, verification in verifications.items()}
    for name in others:
        metrics[name][f"minus_{first}"] = (verifications[name] - verifications[first]).metrics()
    return {"verification": metrics}
