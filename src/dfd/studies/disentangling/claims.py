"""What section 4.5 says of modified templates: Fig. 17."""

from collections.abc import Mapping
from functools import partial
from math import inf

from dfd.findings.common import RESNET, VGG, Names
from dfd.findings.rule import Claim, above, attempted, number
from dfd.measures.estimates import Estimate


def modification_claims(names: Names) -> dict[str, Claim]:
    """Fig. 17, on ResNet templates as in the paper."""

    def probe(part: str, metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {part: above(number(metrics, "disentangle", RESNET, dataset, "probe", part, "balanced_accuracy"), 0.5)}

    def flips(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        def rate(gender: str) -> Estimate:
            path = ("disentangle", RESNET, dataset, "gender", f"attribute-{gender}", f"to_{gender}")
            return above(number(metrics, *path), 0.5)

        return {f"to {gender}": attempted(partial(rate, gender)) for gender in ("female", "male")}

    def gender_of_identity(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        path = ("gender", "identity-male", "p_male", "minus_identity-female")
        return {"both": number(metrics, "disentangle", RESNET, dataset, *path)}

    def identity_lost(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {
            "both": number(
                metrics, "disentangle", RESNET, dataset, "cosine", VGG, "identity-both", "minus_attribute-both"
            )
        }

    def gender_of_lost(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {
            "both": number(
                metrics, "disentangle", RESNET, dataset, "cosine", VGG, "identity-male", "minus_identity-female"
            )
        }

    return {
        "attribute-part-carries-gender": Claim(
            "PFRNet's attribute part encodes gender",
            "4.5, Fig. 17",
            "balanced accuracy of a linear probe on the attribute part, minus chance",
            "accuracy",
            0,
            inf,
            partial(probe, "attribute"),
            by_dataset=True,
        ),
        "identity-part-carries-no-gender": Claim(
            "PFRNet's identity part contains little to no gender information",
            "4.5, Fig. 17",
            "balanced accuracy of a linear probe on the identity part, minus chance",
            "accuracy",
            -inf,
            names.rate_margin,
            partial(probe, "identity"),
            by_dataset=True,
        ),
        "attribute-part-changes-gender": Claim(
            "Replacing the attribute part by that of a gender makes (most) faces appear of that gender",
            "4.5, Fig. 17",
            "share of the faces of the other gender that become of this one, minus one half",
            "share",
            0,
            inf,
            flips,
            by_dataset=True,
        ),
        "identity-part-leaves-gender": Claim(
            "Which gender's mean replaces the identity part has little effect on the apparent gender",
            "4.5, Fig. 17",
            "mean P(male) with the men's mean identity part minus with the women's",
            "probability",
            -names.rate_margin,
            names.rate_margin,
            gender_of_identity,
            by_dataset=True,
        ),
        "identity-part-carries-identity": Claim(
            "Replacing the identity part alters the identity substantially, replacing the attribute part less",
            "4.5, Fig. 17",
            "cosine by VGG with the photo, identity part minus attribute part replaced",
            "cosine",
            -inf,
            0,
            identity_lost,
            by_dataset=True,
        ),
        "identity-lost-whichever-gender": Claim(
            "How the identity is altered depends little on which gender's mean replaces the identity part",
            "4.5, Fig. 17",
            "cosine by VGG with the photo, the men's mean identity part minus the women's",
            "cosine",
            -names.rate_margin,
            names.rate_margin,
            gender_of_lost,
            by_dataset=True,
        ),
    }
