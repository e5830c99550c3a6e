"""What section 4.3.1 says of geometry: Table 2."""

from collections.abc import Mapping
from functools import partial
from math import inf

from dfd.findings.common import BACKBONES, RESNET, TAR, VGG, parts_of
from dfd.findings.rule import Claim, attempted, look_up, minus, negated, number
from dfd.measures.estimates import Estimate


def map_claims() -> dict[str, Claim]:
    """Table 2."""
    conditions = {"rotated": "rotation", "translated": "translation", "scaled": "scaling"}

    def helps(condition: str, metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return parts_of(
            {name: partial(number, metrics, "verify", name, condition, "difference", TAR) for name in BACKBONES}
        )

    def more(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {
            condition: attempted(partial(_vgg_minus_resnet, metrics, dataset, condition)) for condition in conditions
        }

    def robust(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        def ahead(condition: str) -> Estimate:
            return minus(*(number(metrics, "verify", name, condition, "without", TAR) for name in (RESNET, VGG)))

        return {condition: attempted(partial(ahead, condition)) for condition in conditions}

    claims = {
        f"maps-help-{noun}": Claim(
            f"A linear map in template space improves the verification of faces after {noun}",
            "4.3.1, Table 2",
            "TAR at 0.1 % FAR with minus without the map",
            "TAR",
            0,
            inf,
            partial(helps, condition),
        )
        for condition, noun in conditions.items()
    }
    claims["resnet-is-more-robust"] = Claim(
        "ResNet verifies rotated, translated and scaled faces better than VGG",
        "4.3.1, Table 2",
        "TAR at 0.1 % FAR without the map, ResNet minus VGG",
        "TAR",
        0,
        inf,
        robust,
    )
    claims["maps-help-vgg-more"] = Claim(
        "VGG gains more from the maps than ResNet",
        "4.3.1, Table 2",
        "gain in TAR at 0.1 % FAR of VGG minus that of ResNet",
        "TAR",
        0,
        inf,
        more,
    )
    return claims


def _vgg_minus_resnet(metrics: Mapping, dataset: str, condition: str) -> Estimate:
    gains = look_up(metrics, "map_gains", dataset, condition)
    if VGG in gains:
        return number(gains, VGG, f"minus_{RESNET}", TAR)
    return negated(number(gains, RESNET, f"minus_{VGG}", TAR))
