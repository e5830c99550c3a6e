"""What in a template is the person's, and what only the photo's: what an identity loss is best aimed at.

Photos of one person have different templates; a face that reproduces one of them in full is a worse likeness of the person
than one that reproduces what the templates have in common.
"""

import torch

from dfd.core.errors import DfdError
from dfd.faces.examples import Examples
from dfd.templates.linear import LinearMap, Moments, fit_ridge
from dfd.templates.people import photos_of_people


def person_map(training: Examples, validation: Examples) -> LinearMap:
    """The ridge regression from a photo's template (D,) to the mean template of the person's other photos.

    It learns from training people with two photos or more; such people of validation choose how strong the ridge is.
    Raises DfdError where either has none.
    """
    moments = [_moments(examples) for examples in (training, validation)]
    if not all(part.n for part in moments):
        raise DfdError(
            f"loss.person: {training.faces.path} has nobody with two photos among the people that a decoder learns from "
            "or is validated on; set it to false"
        )
    return fit_ridge(*moments).map


def _moments(examples: Examples) -> Moments:
    """Of pairs (template, mean of the same person's others), of photos as they are."""
    templates = examples.targets[: len(examples.rows)].double()
    moments = Moments(templates.shape[1], templates.shape[1])
    people = photos_of_people(examples.faces.identities(examples.rows), at_least=2)
    for photos in map(torch.from_numpy, people.values()):
        own = templates[photos]
        moments.add(own, (own.sum(0) - own) / (len(own) - 1))
    return moments
