"""What section 4.3.2 says of occlusions: Fig. 11."""

from collections.abc import Iterable, Mapping
from functools import partial
from math import inf

from dfd.findings.common import Names, threshold_of, variants_by_template
from dfd.findings.rule import Claim, Missing, above, attempted, look_up, number
from dfd.measures.estimates import Estimate


def occlusion_claims(names: Names) -> dict[str, Claim]:
    """Fig. 11."""
    regions = ("eyes", "mouth")

    def decoded(
        wanted: Iterable[str], measure: str, difference: str, metrics: Mapping, dataset: str
    ) -> dict[str, Estimate]:
        return {
            f"{region}, {variant}": attempted(
                partial(
                    number,
                    metrics,
                    "occlude",
                    template,
                    dataset,
                    region,
                    "decoded",
                    variant,
                    measure,
                    f"minus_{difference}",
                )
            )
            for region in wanted
            for variant, template in variants_by_template().items()
        }

    def identity(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        def kept(region: str, variant: str, template: str) -> Estimate:
            path = ("occlude", template, dataset, region, "decoded", variant, "cosine")
            threshold, clean = threshold_of(metrics, template), look_up(metrics, *path)["clean"]
            if clean <= threshold:
                raise Missing(
                    f"without a block its reconstructions are not recognised either (cosine {clean:.2g}, threshold {threshold:.2g})"
                )
            return above(number(metrics, *path), threshold)

        return {
            f"{region}, {variant}": attempted(partial(kept, region, variant, template))
            for region in regions
            for variant, template in variants_by_template().items()
        }

    def gender(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {
            f"{region}, {variant}": attempted(
                partial(number, metrics, "occlude", template, dataset, region, "decoded", variant, "gender_flipped")
            )
            for region in regions
            for variant, template in variants_by_template().items()
        }

    return {
        "occlusions-stay-local": Claim(
            "Local occlusions remain local in the reconstructions",
            "4.3.2, Fig. 11",
            "the region's share of the change in the reconstruction minus its share of the picture",
            "share",
            0,
            inf,
            partial(decoded, regions, "change_inside", "area"),
            by_dataset=True,
        ),
        "blocked-eyes-become-glasses": Claim(
            "Blocked eyes are interpreted as (dark) glasses",
            "4.3.2, Fig. 11",
            "brightness of the reconstruction with blocked eyes minus without, in the region minus beside it",
            "grey levels",
            -inf,
            0,
            partial(decoded, ["eyes"], "brightness_inside", "outside"),
            by_dataset=True,
        ),
        "occlusions-leave-identity": Claim(
            "The identity is largely discernible in the reconstructions in spite of an occlusion",
            "4.3.2, Fig. 11",
            "cosine of the reconstruction with the photo minus the recognizer's threshold at 0.1 % FAR (taken as exact)",
            "cosine",
            0,
            inf,
            identity,
        ),
        "occlusions-leave-gender": Claim(
            "Attributes such as gender are retained in spite of an occlusion",
            "4.3.2, Fig. 11",
            "share of the reconstructions whose perceived gender the block flips",
            "share",
            -inf,
            names.rate_margin,
            gender,
            by_dataset=True,
        ),
    }
