"""What the literature says of template inversion, for the decoders of this run.

Mai et al.: On the reconstruction of face images from deep face templates, TPAMI 2019. Shahreza & Marcel: Template inversion
attack against face recognition systems using 3D face reconstruction, ICCV 2023. Jin, Ling & Goh: Biohashing, Pattern
Recognition 2004. ISO/IEC 24745: biometric information protection, 2022.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf

from dfd.findings.common import Names
from dfd.findings.rule import Claim, Missing, above, attempted, look_up, minus, number
from dfd.measures.estimates import Estimate

FMR = "fmr_0.001"
ENOUGH = (
    0.1  # accepted as another photo: a decoder that opens less is no attack, and there is nothing to protect from it
)
# Chosen after a first look: most decoders open nothing, and over all of them hardly a claim can be told either way.
ATTACKS = f"of decoders accepted as another photo in {100 * ENOUGH:g} % of attempts or more"
TYPE_2 = "share accepted as another photo of the person at 0.1 % FMR"


def inversion_claims(names: Names) -> dict[str, Claim]:
    """SAR, transfer, fidelity, attributes, protection and the worst case."""

    def of_every(
        effect: Callable[[Mapping, str], Estimate], attacks: bool, metrics: Mapping, dataset: str
    ) -> dict[str, Estimate]:
        """By decoder what `effect` makes of its metrics on the data set, and of the recognizer whose templates it decodes;
        of all decoders, or only of those that are attacks."""
        effects = {}
        for decoder in _attacks(metrics, dataset) if attacks else _decoders(metrics):
            results = look_up(metrics, "invert", decoder)
            effects[decoder] = attempted(
                lambda results=results: effect(look_up(results, dataset), _decoded(look_up(results, dataset)))
            )
        return effects

    def transferred(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        effects = {}
        for decoder in _attacks(metrics, dataset):
            judges = look_up(metrics, "invert", decoder, dataset, "transfer")
            for judge in (name for name in judges if not judges[name]["self_judged"]):
                path = (judges, judge, FMR, "type_1_minus_self")
                effects[f"{decoder}, {judge}"] = attempted(partial(number, *path))
        return effects

    def protected(name: str, *path: str) -> Callable[[Mapping, str], Estimate]:
        return lambda results, _: number(results, "protections", name, *path, "minus_none")

    def seen(results: Mapping, recognizer: str) -> Estimate:
        return above(number(results, "attributes", "gender", "decoder", "balanced"), 0.5)

    def skin(results: Mapping, recognizer: str) -> Estimate:
        return minus(*(number(results, "regions", name, "psnr_minus_mean_face") for name in ("skin", "rest")))

    def pooled(results: Mapping, recognizer: str) -> Estimate:
        return minus(*(number(results, "protections", name, "unaware", "type_2") for name in ("aggregated", "none")))

    def claim(
        text: str, where: str, compares: str, unit: str, low: float, high: float, effect: Callable, every: bool = False
    ) -> Claim:
        """About all decoders on `every` data set, or about those that are attacks, on the main one."""
        measured = compares if every else f"{compares}; {ATTACKS}"
        return Claim(text, where, measured, unit, low, high, partial(of_every, effect, not every), by_dataset=every)

    margin = names.rate_margin
    return {
        "type-1-above-type-2": claim(
            "A reconstruction passes more easily for its own photo than for another of the person",
            "Mai et al., 2019",
            "share accepted at 0.1 % FMR by the attacked recognizer, type II minus type I, the same reconstructions",
            "share",
            -inf,
            0,
            lambda results, recognizer: number(results, "transfer", recognizer, FMR, "type_2_minus_type_1"),
        ),
        "transfer-below-the-diagonal": Claim(
            "Another recognizer takes fewer reconstructions for the person than the attacked one",
            "Shahreza & Marcel, 2023",
            f"share accepted as the same photo at 0.1 % FMR, the other recognizer minus the attacked one; {ATTACKS}",
            "share",
            -inf,
            0,
            transferred,
        ),
        "retrieval-is-accepted-less": claim(
            "The face with the nearest template is no reconstruction: it passes less often for the person",
            "ours",
            f"{TYPE_2}, nearest training face minus decoder",
            "share",
            -inf,
            0,
            lambda results, recognizer: number(
                results, "sources", "nearest", "sar", recognizer, "type_2", "minus_decoder"
            ),
        ),
        "retrieval-is-less-like-the-photo": claim(
            "It is less like the photo, too, however much it looks like a face",
            "ours",
            "SSIM, nearest training face minus decoder",
            "SSIM",
            -inf,
            0,
            lambda results, _: number(results, "sources", "nearest", "ssim", "minus_decoder"),
            every=True,
        ),
        "the-face-is-told-not-what-is-around-it": claim(
            "Templates tell more of the face than of hair and background",
            "ours",
            "PSNR minus that of the mean face, of the skin minus of what is around the face",
            "dB",
            0,
            inf,
            skin,
            every=True,
        ),
        "reconstructions-keep-gender": claim(
            "Reconstructions keep the perceived gender",
            "ISO/IEC 24745; paper, section 4.5",
            "balanced accuracy of the classifier on reconstructions minus one half",
            "share",
            0,
            inf,
            seen,
            every=True,
        ),
        "eight-bits-change-nothing": claim(
            "Storing templates in 8 bits changes nothing for an attacker",
            "ours",
            f"{TYPE_2}, from 8 bits minus from float32",
            "share",
            -margin,
            margin,
            protected("8-bits", "unaware", "type_2"),
        ),
        "noise-is-undone": claim(
            "Noise of half a standard deviation does not protect from whoever knows of it",
            "ours",
            f"{TYPE_2}, from noisy templates that are mapped back minus from exact ones",
            "share",
            -margin,
            margin,
            protected("noise-0.5", "aware", "type_2"),
        ),
        "few-axes-protect": claim(
            "Templates cut to 16 axes give fewer faces away",
            "ours",
            f"{TYPE_2}, from 16 principal axes minus from all",
            "share",
            -inf,
            0,
            protected("axes-16", "aware", "type_2"),
        ),
        "few-axes-cost-recognition": claim(
            "and that costs recognition",
            "ours",
            "TAR at 0.1 % FMR of the protected system minus of the unprotected one",
            "TAR",
            -inf,
            0,
            protected("axes-16", "tar"),
        ),
        "secret-keys-protect": claim(
            "BioHash with a key that the attacker does not have gives fewer faces away",
            "Jin, Ling & Goh, 2004",
            f"{TYPE_2}, from hashes that are mapped back with another key minus from templates",
            "share",
            -inf,
            0,
            protected("biohash-secret", "aware", "type_2"),
        ),
        "known-keys-do-not-protect": claim(
            "With its key known, a BioHash gives away nearly as many faces as the template",
            "ISO/IEC 24745",
            f"{TYPE_2}, from hashes that are mapped back minus from templates",
            "share",
            -margin,
            margin,
            protected("biohash", "aware", "type_2"),
        ),
        "aggregation-gives-more-away": claim(
            "A template of several photos gives more away than that of one",
            "ours",
            f"{TYPE_2}, from means of half of a person's photos minus from single ones",
            "share",
            0,
            inf,
            pooled,
        ),
        "refinement-helps-the-attacker": claim(
            "Whoever has the recognizer itself gets further by refining the pixels",
            "ours",
            f"{TYPE_2} by the attacked recognizer, after minus before gradient descent",
            "share",
            0,
            inf,
            lambda results, recognizer: number(results, "refinement", recognizer, "after", "type_2", "minus_before"),
        ),
    }


def _decoders(metrics: Mapping) -> list[str]:
    """The decoders that were tried. Raises Missing for none."""
    if not look_up(metrics, "invert"):
        raise Missing("no decoder among the metrics of invert")
    return list(metrics["invert"])


def _attacks(metrics: Mapping, dataset: str) -> list[str]:
    """The decoders whose reconstructions the attacked recognizer accepts as another photo, ENOUGH of them. Raises Missing for
    none."""
    rates = {}
    for decoder in _decoders(metrics):
        results = look_up(metrics, "invert", decoder, dataset)
        rates[decoder] = attempted(partial(number, results, "transfer", _decoded(results), FMR, "type_2"))
    attacks = [decoder for decoder, rate in rates.items() if rate.value is not None and rate.value >= ENOUGH]
    if not attacks:
        notes = [rate.left_out for rate in rates.values() if rate.value is None and rate.left_out]
        nothing = f"of no decoder among the metrics of invert {100 * ENOUGH:g} % are accepted: there is no attack"
        raise Missing(notes[0] if notes else nothing)
    return attacks


def _decoded(results: Mapping) -> str:
    """The recognizer whose templates a decoder decodes, from its metrics on a data set."""
    judges = look_up(results, "transfer")
    return next(name for name in judges if judges[name]["self_judged"])
