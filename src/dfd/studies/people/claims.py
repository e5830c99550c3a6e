"""What section 4.4 says of templates of several photos: Figs. 14 to 16."""

from collections.abc import Mapping
from functools import partial
from math import inf

from dfd.findings.common import BACKBONES, RESNET, TAR, VGG, Names, variants_by_template
from dfd.findings.rule import Claim, Missing, attempted, look_up, minus, number
from dfd.measures.estimates import Estimate

ENOUGH = 10  # photos in a template, from which on the paper sees no more gain


def construction_claims(names: Names) -> dict[str, Claim]:
    """Figs. 14, 15 and 16."""

    def spread(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        own = (number(metrics, "cluster", name, "templates", "within_person_share") for name in BACKBONES)
        return {"templates": minus(*own)}

    def decoded(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        def ratio(other: str) -> Estimate:
            paths = [("cluster", name, "decoded", f"{name}-{other}", "ratio") for name in BACKBONES]
            return minus(*(number(metrics, *path) for path in paths))

        return {f"φ = {other}": attempted(partial(ratio, other)) for other in BACKBONES}

    def gain(recognizer: str, metrics: Mapping) -> Estimate:
        first, count = counts(metrics, recognizer)[0], enough(metrics, recognizer)
        return number(metrics, "aggregate", recognizer, "verification", count, f"minus_{first}", TAR)

    def helps(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {VGG: gain(VGG, metrics)}

    def levels_off(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        most, few = max(counts(metrics, VGG)), enough(metrics, VGG)
        if most <= ENOUGH:
            raise Missing(f"the people have photos for templates of {most} at most, which is not beyond {ENOUGH}")
        return {VGG: number(metrics, "aggregate", VGG, "verification", str(most), f"minus_{few}", TAR)}

    def more(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {VGG: minus(gain(VGG, metrics), gain(RESNET, metrics))}

    def normalised(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        def gained(variant: str, name: str) -> Estimate:
            first, count = counts(metrics, name)[0], enough(metrics, name)
            return number(metrics, "aggregate", name, "decoded", variant, count, "mirror", f"minus_{first}")

        return {variant: attempted(partial(gained, variant, name)) for variant, name in variants_by_template().items()}

    up_to = f"the most photos up to {ENOUGH} minus one photo"
    return {
        "clusters-vary-more-for-vgg": Claim(
            "VGG templates vary more within a person than ResNet templates",
            "4.4.1, Fig. 14",
            "share of the templates' variance that lies within a person, VGG minus ResNet",
            "share",
            0,
            inf,
            spread,
        ),
        "centroids-look-more-different-for-vgg": Claim(
            "Decoded cluster centroids of a person differ more for VGG than for ResNet",
            "4.4.1, Fig. 14",
            "difference of a person's decoded centroids over that of people, VGG minus ResNet, φ being the same",
            "ratio",
            0,
            inf,
            decoded,
        ),
        "aggregation-normalises": Claim(
            "Aggregated templates decode to more frontal, evenly lit faces",
            "4.4.2, Fig. 15",
            f"difference of the decoded face from its mirror image, {up_to}",
            "grey levels",
            -inf,
            0,
            normalised,
        ),
        "aggregation-helps": Claim(
            "Verification by VGG improves with the photos in a template",
            "4.4.2, Fig. 16",
            f"TAR at 0.1 % FAR, {up_to}",
            "TAR",
            0,
            inf,
            helps,
        ),
        "aggregation-levels-off": Claim(
            f"Verification stabilises at {ENOUGH} photos in a template",
            "4.4.2, Fig. 16",
            f"TAR at 0.1 % FAR, the most photos minus the most up to {ENOUGH}",
            "TAR",
            -names.rate_margin,
            names.rate_margin,
            levels_off,
        ),
        "aggregation-helps-vgg-more": Claim(
            "ResNet benefits less from aggregation than VGG",
            "4.4.2, Fig. 15",
            f"gain in TAR at 0.1 % FAR ({up_to}) of VGG minus that of ResNet",
            "TAR",
            0,
            inf,
            more,
        ),
    }


def counts(metrics: Mapping, recognizer: str) -> list[int]:
    """The numbers of photos in a template that were compared, rising. Raises Missing for none."""
    return sorted(int(count) for count in look_up(metrics, "aggregate", recognizer, "verification") if count.isdigit())


def enough(metrics: Mapping, recognizer: str) -> str:
    """The largest of the counts that is not above ENOUGH. Raises Missing where that is the first."""
    usable = [count for count in counts(metrics, recognizer) if count <= ENOUGH]
    if len(usable) < 2:
        raise Missing("the people have too few photos for templates of several")
    return str(usable[-1])
