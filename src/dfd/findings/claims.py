"""Everything that the paper's text claims from the experiments, in its order."""

from dfd.findings.common import Names
from dfd.findings.perturbations import attack_claims, map_claims, occlusion_claims
from dfd.findings.reconstructions import (
    ablation_claims,
    backbone_claims,
    competitor_claims,
    experiment_claims,
)
from dfd.findings.rule import Claim
from dfd.findings.templates import construction_claims, modification_claims


def every_claim(names: Names) -> dict[str, Claim]:
    """All claims by key, in the order of the paper."""
    return (
        backbone_claims(names)
        | experiment_claims(names)
        | competitor_claims(names)
        | ablation_claims(names)
        | map_claims()
        | occlusion_claims(names)
        | attack_claims(names)
        | construction_claims(names)
        | modification_claims(names)
    )
