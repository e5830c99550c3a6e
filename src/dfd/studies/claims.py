"""Everything that the paper's text claims from the experiments, in its order; then what others say of inversion."""

from dfd.findings.common import Names
from dfd.findings.rule import Claim
from dfd.studies.attack.claims import attack_claims
from dfd.studies.disentangling.claims import modification_claims
from dfd.studies.equivariance.claims import map_claims
from dfd.studies.inversion.claims import inversion_claims
from dfd.studies.occlusion.claims import occlusion_claims
from dfd.studies.people.claims import construction_claims
from dfd.studies.reconstruction.claims import (
    ablation_claims,
    backbone_claims,
    competitor_claims,
    experiment_claims,
)


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
        | inversion_claims(names)
    )
