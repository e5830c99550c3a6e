"""Every claim finds its metrics: in those of a world where all that the paper says is so, all of it holds."""

import pytest

from dfd.findings.common import Names
from dfd.findings.rule import FAILS, HOLDS, UNDECIDED, findings
from dfd.findings.tables import SUMMARY, findings_markdown, findings_table
from dfd.studies.claims import every_claim

NAMES = Names(
    ablation="vgg-resnet",
    losses=(
        "full",
        "global",
        "pixel-gradient",
        "pixel-perceptual",
        "gradient-perceptual",
        "perceptual",
        "pixel",
        "gradient",
    ),
    recognizer_loss="orl",
    objectives=("softmax", "arcface"),
    template_layer="vgg",
    layers=("fc7", "conv5-avg"),
    competitors=("resnet-vgg", "vgg-vgg"),
    decoders=("nbnet", "residual-deconvolution"),
    far=0.001,
    psnr_margin=0.5,
    rate_margin=0.05,
)
TAR = "tar_at_far_0.001"
VARIANTS = {f"{template}-{phi}": (template, phi) for template in ("vgg", "resnet") for phi in ("vgg", "resnet")}
LOSS_PSNR = dict(zip(NAMES.losses, (19, 18.5, 18, 17.9, 17.8, 14, 17.5, 17.4), strict=True))
MEASURES = {"psnr": 1, "ssim": 0.01, "lpips": -0.01}  # the units of the numbers here; LPIPS is better when less
ATTACKS = ("tfgsm", "itfgsm", "tcw", "itcw", "cw-l2")


def value(x: float, name: str = "mean", width: float = 0.01) -> dict:
    return {name: x, "ci95_low": x - width, "ci95_high": x + width}


def measures(own: float, others: dict[str, float]) -> dict:
    return {
        name: value(own * unit)
        | {f"minus_{key}": value((own - other) * unit, width=0.001) for key, other in others.items()}
        for name, unit in MEASURES.items()
    }


def the_papers_world() -> dict:
    psnr = {"vgg-vgg": 18, "vgg-resnet": 18.1, "resnet-vgg": 15, "resnet-resnet": 15.1}
    one_apart = {
        name: [other for other, b in VARIANTS.items() if (a[0] == b[0]) != (a[1] == b[1])]
        for name, a in VARIANTS.items()
    }
    backbones = {name: measures(psnr[name], {other: psnr[other] for other in one_apart[name]}) for name in VARIANTS}
    rows = {
        row: measures(own, {other: LOSS_PSNR[other] for other in ("full", "global", "perceptual") if other != row})
        for row, own in LOSS_PSNR.items()
    }
    two = {"softmax": measures(18, {}), "arcface": measures(18.1, {"softmax": 18})}
    layers = {"fc7": measures(18, {}), "conv5-avg": measures(18.1, {"fc7": 18})}
    competing = {
        "ours": measures(18, {}),
        **{name: measures(16, {"ours": 18}) for name in (*NAMES.decoders, "nbnet-pixel")},
    }
    accepted = {"type_1": value(0.2, "value") | {"minus_ours": value(0.01)}}
    conditions = ("rotated", "translated", "scaled")
    metrics = {
        "backbones": {"variants": {name: {"decoders": backbones} for name in ("orl", "synthetic")}},
        "ablation": {"vgg-resnet": {name: {"decoders": rows} for name in ("orl", "synthetic")}},
        "recognizer_loss": {
            "orl": {
                "orl": {
                    "decoders": two,
                    "verification": {"softmax": {}, "arcface": {"minus_softmax": {"auc": value(0.05, "difference")}}},
                }
            }
        },
        "template_layer": {"vgg": {"orl": {"decoders": layers}}},
        "competitors": {
            variant: {"orl": {"decoders": competing}, "acceptance": {"decoders": dict.fromkeys(competing, accepted)}}
            for variant in NAMES.competitors
        },
        "verify": {
            name: {
                c: {"difference": {TAR: value(0.05, "difference")}, "without": {TAR: value(tar, "value")}}
                for c in conditions
            }
            | {"original": {"without": {TAR: value(0.95, "value") | {"threshold": 0.7}}}}
            for name, tar in {"vgg": 0.4, "resnet": 0.9}.items()
        },
        "map_gains": {"orl": {c: {"vgg": {"minus_resnet": {TAR: value(0.02, "difference")}}} for c in conditions}},
    }
    metrics["invert"] = {name: invert(template) for name, (template, _) in VARIANTS.items()}
    return metrics | {stage: {name: made(name) for name in ("vgg", "resnet")} for stage, made in ROOT.items()}


def invert(template: str) -> dict:
    """Of both data sets; protections and refinement on the first alone."""
    other = "resnet" if template == "vgg" else "vgg"
    transfer = {
        template: {
            "self_judged": True,
            "fmr_0.001": {"type_2_minus_type_1": value(-0.1), "type_2": value(0.5, "value")},
        },
        other: {"self_judged": False, "fmr_0.001": {"type_1_minus_self": value(-0.3)}},
    }
    nearest = {"ssim": {"minus_decoder": value(-0.1)}, "sar": {template: {"type_2": {"minus_decoder": value(-0.5)}}}}
    both = {
        "transfer": transfer,
        "sources": {"nearest": nearest},
        "regions": {name: {"psnr_minus_mean_face": value(gain)} for name, gain in {"skin": 3, "rest": 1}.items()},
        "attributes": {"gender": {"decoder": {"balanced": value(0.9, "value")}}},
    }

    def changes(by: float) -> dict:
        return {"type_2": value(0.5 + by, "value") | {"minus_none": value(by)}}

    protections = {
        "none": {"unaware": changes(0)},
        "8-bits": {"unaware": changes(0)},
        "noise-0.5": {"aware": changes(-0.02)},
        "axes-16": {"aware": changes(-0.3), "tar": {"minus_none": value(-0.1)}},
        "biohash": {"aware": changes(-0.02)},
        "biohash-secret": {"aware": changes(-0.5)},
        "aggregated": {"unaware": changes(0.1)},
    }
    refinement = {template: {"after": {"type_2": {"minus_before": value(0.1)}}}}
    return {"orl": both | {"protections": protections, "refinement": refinement}, "synthetic": both}


def occlude(template: str) -> dict:
    decoded = {
        variant: {
            "change_inside": value(0.5) | {"area": 0.1, "minus_area": value(0.4)},
            "cosine": value(0.9) | {"clean": 0.92, "minus_clean": value(-0.02)},
            "gender_flipped": value(0.02),
            "brightness_inside": value(-20) | {"outside": -1, "minus_outside": value(-19)},
        }
        for variant, pair in VARIANTS.items()
        if pair[0] == template
    }
    return {"orl": {region: {"cosine": value(0.9), "decoded": decoded} for region in ("eyes", "mouth")}}


def attack(template: str) -> dict:
    own = [variant for variant, pair in VARIANTS.items() if pair[0] == template]
    right = 0.8 if template == "vgg" else 0.6
    identified = {name: {"true_identity": value(right) | {"minus_before": value(right - 0.1)}} for name in own}
    identified[own[1]]["true_identity"][f"minus_{own[0]}"] = value(0.01)
    return {
        "targeted": dict.fromkeys(
            ATTACKS, identified | {"before": {"true_identity": value(0.1)}, "cosine": value(0.95)}
        ),
        "verification": {
            "cost": {name: {TAR: value(-0.01, "difference")} for name in own},
            "defence": {name: {TAR: value(0.59, "difference")} for name in own},
            "original": {"before": {TAR: value(0.9, "value")}} | {name: {TAR: value(0.89, "value")} for name in own},
            "decline": {"before": {TAR: value(-0.7, "difference")}}
            | {name: {TAR: value(-0.1, "difference")} for name in own},
        },
    }


def cluster(template: str) -> dict:
    share = 0.4 if template == "vgg" else 0.2
    decoded = {variant: {"ratio": value(share, "value")} for variant, pair in VARIANTS.items() if pair[0] == template}
    return {"templates": {"within_person_share": value(share, "value")}, "decoded": decoded}


def aggregate(template: str) -> dict:
    gain = 0.4 if template == "vgg" else 0.1
    tars = {"1": 0.5, "5": 0.5 + gain / 2, "10": 0.5 + gain, "50": 0.5 + gain}
    by_count = {
        count: {TAR: value(tar, "value")}
        | {f"minus_{other}": {TAR: value(tar - tars[other], "difference")} for other in tars if int(other) < int(count)}
        for count, tar in tars.items()
    }
    mirror = {count: {"mirror": value(20) | {"minus_1": value(-5)}} for count in tars}
    return {
        "verification": by_count,
        "decoded": {variant: mirror for variant, pair in VARIANTS.items() if pair[0] == template},
    }


def disentangle(template: str) -> dict:
    kinds = [f"{part}-{source}" for part in ("attribute", "identity") for source in ("female", "male", "both")]
    gender = {kind: {"p_male": value(0.5), "to_female": value(0.9), "to_male": value(0.9)} for kind in kinds}
    gender["identity-male"]["p_male"]["minus_identity-female"] = value(0.01)
    cosine = {kind: value(0.5) | {"change": value(-0.4 if kind.startswith("identity") else -0.05)} for kind in kinds}
    cosine["identity-both"]["minus_attribute-both"] = value(-0.35)
    cosine["identity-male"]["minus_identity-female"] = value(0.01)
    probe = {
        "attribute": {"balanced_accuracy": value(0.95, "value")},
        "identity": {"balanced_accuracy": value(0.51, "value")},
    }
    return {"orl": {"probe": probe, "gender": gender, "cosine": {"vgg": cosine, "resnet": cosine}}}


ROOT = {"occlude": occlude, "attack": attack, "cluster": cluster, "aggregate": aggregate, "disentangle": disentangle}


def changed(values, change):
    """The same nested metrics with every number with an interval replaced."""
    if not isinstance(values, dict):
        return values
    found = {key: changed(item, change) for key, item in values.items()}
    return found | change(found) if "ci95_low" in values else found


def test_all_holds_where_the_paper_is_right():
    found = findings(every_claim(NAMES), the_papers_world(), "orl", ["synthetic"])
    assert {key: finding["verdict"] for key, finding in found["claims"].items() if finding["verdict"] != HOLDS} == {}
    assert found["counts"] == {HOLDS: len(found["claims"]), FAILS: 0, UNDECIDED: 0} and len(found["claims"]) >= 40
    claims = found["claims"]
    assert (
        claims["vgg-decodes-better-psnr"]["effect"] == 3 and claims["vgg-decodes-better-psnr"]["interval"] == "paired"
    )
    assert claims["local-terms-help-psnr"]["effect"] == 0.5 and claims["local-terms-help-lpips"][
        "effect"
    ] == pytest.approx(-0.005)
    worst = claims["perceptual-alone-is-worst-psnr"]
    assert worst["part"] == "gradient" and worst["effect"] == pytest.approx(3.4) and len(worst["parts"]) == 7
    assert claims["all-losses-help-psnr"]["part"] == "perceptual" and claims["better-than-nbnet"]["effect"] == 2
    assert claims["identity-recovered-as-well"]["effect"] == pytest.approx(-0.01)
    assert claims["decoding-defends-against-fgsm"]["effect"] == pytest.approx(0.6)
    assert claims["decoding-defends-against-fgsm"]["interval"] == "outer"
    assert claims["decoding-restores-verification"]["effect"] == pytest.approx(0.59)
    for key in (
        "white-box-like-black-box-attacked",
        "aggregation-levels-off",
        "identity-part-leaves-gender",
        "decoding-costs-little",
    ):
        assert claims[key]["interval"] == "paired", key
    assert claims["resnet-is-more-robust"]["effect"] == pytest.approx(0.5)
    assert claims["occlusions-leave-identity"]["effect"] == pytest.approx(0.2)
    assert claims["aggregation-helps-vgg-more"]["effect"] == pytest.approx(0.3)
    assert {key for key, finding in claims.items() if "also" in finding} >= {
        "vgg-decodes-better-ssim",
        "local-terms-help-psnr",
    }


def test_without_metrics_all_is_null_with_a_note():
    for metrics in ({}, {stage: {} for stage in the_papers_world()}):
        found = findings(every_claim(NAMES), metrics, "orl", ["synthetic"])
        for finding in found["claims"].values():
            assert (finding["effect"], finding["verdict"]) == (None, UNDECIDED) and "among the metrics" in finding[
                "effect_note"
            ]
        assert findings_markdown(found).count("among the metrics") == len(found["claims"])


def test_metrics_without_intervals_decide_nothing():
    nothing = changed(
        the_papers_world(), lambda found: {"ci95_low": None, "ci95_high": None, "ci95_note": "one person"}
    )
    found = findings(every_claim(NAMES), nothing, "orl", [])
    for finding in found["claims"].values():
        assert (
            finding["verdict"] == UNDECIDED and finding["effect"] is not None and finding["effect_note"] == "one person"
        )


def test_null_metrics_decide_nothing():
    empty = dict.fromkeys(("mean", "value", "difference", "ci95_low", "ci95_high"))
    nulls = changed(
        the_papers_world(), lambda found: {key: empty[key] for key in found.keys() & empty.keys()} | {"x_note": "gone"}
    )
    found = findings(every_claim(NAMES), nulls, "orl", [])
    for finding in found["claims"].values():
        assert (finding["effect"], finding["verdict"], finding["effect_note"]) == (None, UNDECIDED, "gone")


def test_the_reverse_of_what_the_paper_says_does_not_hold():
    world = the_papers_world()
    flipped = changed(
        world,
        lambda found: {
            key: -found[old]
            for key, old in {
                "mean": "mean",
                "difference": "difference",
                "ci95_low": "ci95_high",
                "ci95_high": "ci95_low",
            }.items()
            if old in found
        },
    )
    found = findings(every_claim(NAMES), flipped, "orl", [])["claims"]
    for key in (
        "vgg-decodes-better-psnr",
        "all-losses-help-psnr",
        "local-terms-help-ssim",
        "maps-help-rotation",
        "maps-help-vgg-more",
    ):
        assert found[key]["verdict"] == FAILS, key
    assert found["white-box-like-black-box-vgg"]["verdict"] == HOLDS  # alike is alike, whichever comes first


def test_few_photos_leave_the_levelling_off_open():
    world = the_papers_world()
    for name in ("vgg", "resnet"):
        del world["aggregate"][name]["verification"]["50"]
    found = findings(every_claim(NAMES), world, "orl", [])["claims"]
    assert (
        found["aggregation-levels-off"]["effect"] is None
        and "10 at most" in found["aggregation-levels-off"]["effect_note"]
    )
    assert found["aggregation-helps"]["verdict"] == HOLDS
    for name in ("vgg", "resnet"):
        world["aggregate"][name]["verification"] = {"1": {}}
    found = findings(every_claim(NAMES), world, "orl", [])["claims"]
    assert "too few photos" in found["aggregation-helps"]["effect_note"]


def test_the_tables():
    found = findings(every_claim(NAMES), the_papers_world(), "orl", ["synthetic"])
    table = findings_table(found)
    summaries = table[(table["part"] == SUMMARY) & (table["dataset"] == "orl")]
    assert summaries["key"].tolist() == list(found["claims"])
    worst = table[table["key"] == "perceptual-alone-is-worst-psnr"]
    assert len(worst) == 2 * (1 + 7) and set(worst["verdict"]) == {HOLDS}
    text = findings_markdown(found)
    lines = text.splitlines()
    assert lines[0] == f"{len(found['claims'])} claims: {len(found['claims'])} hold, 0 do not hold, 0 undecided."
    assert {line.count(" | ") for line in lines[2:] if "---" not in line} == {5} and len(lines) == 4 + len(
        found["claims"]
    )
    assert "3 [3, 3] dB (φ = vgg)" in text and "synthetic: holds" in text


def test_where_decoding_leaves_nothing_to_lose_it_is_no_defence():
    world = the_papers_world()
    for name in ("vgg", "resnet"):
        originals = world["attack"][name]["verification"]["original"]
        originals |= {variant: {TAR: value(0.02, "value")} for variant in originals if variant != "before"}
    finding = findings(every_claim(NAMES), world, "orl", [])["claims"]["decoding-defends-against-fgsm"]
    assert (finding["effect"], finding["verdict"]) == (None, UNDECIDED)
    assert "decoded originals have a TAR of 0.02: no attack could take the 0.7" in finding["effect_note"]


def test_where_no_reconstruction_is_recognised_an_occlusion_takes_no_identity():
    world = the_papers_world()
    decoded = world["occlude"]["vgg"]["orl"]["mouth"]["decoded"]["vgg-resnet"]
    decoded["cosine"] = value(0.1) | {"clean": 0.4}
    finding = findings(every_claim(NAMES), world, "orl", [])["claims"]["occlusions-leave-identity"]
    assert finding["verdict"] == UNDECIDED and finding["parts"]["mouth, vgg-resnet"]["effect"] is None
    assert "not recognised either (cosine 0.4, threshold 0.7)" in finding["parts"]["mouth, vgg-resnet"]["effect_note"]
    assert finding["parts"]["mouth, vgg-vgg"]["verdict"] == HOLDS


def test_a_competitor_counts_in_each_phase_of_its_training():
    world = the_papers_world()
    competing = world["competitors"]["vgg-vgg"]["orl"]["decoders"]
    world["competitors"]["vgg-vgg"]["orl"]["decoders"] = competing | {"nbnet-pixel": measures(19, {"ours": 18})}
    finding = findings(every_claim(NAMES), world, "orl", [])["claims"]["better-than-nbnet"]
    assert (finding["part"], finding["effect"], finding["verdict"]) == ("vgg-vgg, nbnet-pixel", -1, FAILS)
    assert len(finding["parts"]) == 4


def test_what_was_accepted_of_another_data_set_is_no_finding():
    world = the_papers_world()
    for metrics in world["competitors"].values():
        metrics["others"] = metrics.pop("orl")
    finding = findings(every_claim(NAMES), world, "orl", [])["claims"]["identity-recovered-as-well"]
    assert (finding["effect"], finding["verdict"]) == (None, UNDECIDED) and "resnet-vgg/orl among" in finding[
        "effect_note"
    ]


def test_an_identity_part_below_chance_carries_no_gender():
    world = the_papers_world()
    world["disentangle"]["resnet"]["orl"]["probe"]["identity"]["balanced_accuracy"] = value(0.4, "value")
    assert (
        findings(every_claim(NAMES), world, "orl", [])["claims"]["identity-part-carries-no-gender"]["verdict"] == HOLDS
    )


def test_a_decoder_that_opens_nothing_is_no_attack():
    world = the_papers_world()
    weak = world["invert"]["resnet-vgg"]["orl"]
    weak["transfer"]["resnet"]["fmr_0.001"]["type_2"] = value(0.05, "value")
    found = findings(every_claim(NAMES), world, "orl", [])["claims"]
    assert "resnet-vgg" not in found["eight-bits-change-nothing"]["parts"]
    assert (
        len(found["eight-bits-change-nothing"]["parts"]) == 3
        and len(found["reconstructions-keep-gender"]["parts"]) == 4
    )
    for name in VARIANTS:
        for rates in world["invert"][name]["orl"]["transfer"].values():
            rates["fmr_0.001"]["type_2"] = value(0.05, "value")
    found = findings(every_claim(NAMES), world, "orl", [])["claims"]
    assert found["type-1-above-type-2"]["effect"] is None and "no attack" in found["type-1-above-type-2"]["effect_note"]
