"""Claims from sections 4.2.1 to 4.2.3: whose templates, which network, which loss; Figs. 3 to 7, Table 1."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import inf

from dfd.findings.common import BACKBONES, RESNET, VGG, Names, parts_of
from dfd.findings.rule import Claim, Missing, attempted, look_up, negated, number
from dfd.measures.estimates import Estimate

MEASURES = {"psnr": ("dB", 1), "ssim": ("SSIM", 1), "lpips": ("LPIPS", -1)}  # unit; −1 where less is better


def better(measure: str) -> tuple[float, float]:
    """The range of a difference in favour of what comes first."""
    return (0, inf) if MEASURES[measure][1] > 0 else (-inf, 0)


def backbone_claims(names: Names) -> dict[str, Claim]:
    """Fig. 3 and Table 1's lower half."""

    def phi(recognizer: str, metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        other = RESNET if recognizer == VGG else VGG
        white, black = f"{recognizer}-{recognizer}", f"{recognizer}-{other}"
        return {white: number(metrics, "backbones", "variants", dataset, "decoders", white, "psnr", f"minus_{black}")}

    def template(measure: str, metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        path = partial(number, metrics, "backbones", "variants", dataset, "decoders")
        return parts_of(
            {f"φ = {other}": partial(path, f"{VGG}-{other}", measure, f"minus_{RESNET}-{other}") for other in BACKBONES}
        )

    claims = {
        f"white-box-like-black-box-{recognizer}": Claim(
            f"White-box and black-box decoders of {recognizer} templates reconstruct alike",
            "4.2.1, Fig. 3",
            "PSNR of the white-box minus the black-box decoder",
            "dB",
            -names.psnr_margin,
            names.psnr_margin,
            partial(phi, recognizer),
            by_dataset=True,
        )
        for recognizer in BACKBONES
    }
    return claims | {
        f"vgg-decodes-better-{measure}": Claim(
            f"VGG templates give reconstructions closer to the photo than ResNet templates ({measure.upper()})",
            "4.2.1, Fig. 3; Table 1",
            f"{measure.upper()} of the decoder of VGG minus that of ResNet templates, φ being the same",
            unit,
            *better(measure),
            partial(template, measure),
            by_dataset=True,
        )
        for measure, (unit, _) in MEASURES.items()
    }


def experiment_claims(names: Names) -> dict[str, Claim]:
    """Figs. 4 and 5."""
    first, *objectives = names.objectives
    top, *layers = names.layers

    def loss(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        path = partial(number, metrics, "recognizer_loss", names.recognizer_loss, dataset, "decoders")
        return parts_of({name: partial(path, name, "psnr", f"minus_{first}") for name in objectives})

    def separation(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        path = partial(number, metrics, "recognizer_loss", names.recognizer_loss, dataset, "verification")
        return parts_of({name: partial(path, name, f"minus_{first}", "auc") for name in objectives})

    def layer(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        path = partial(number, metrics, "template_layer", names.template_layer, dataset, "decoders")
        return parts_of({name: partial(path, name, "psnr", f"minus_{top}") for name in layers})

    margin = (-names.psnr_margin, names.psnr_margin)
    others = " and ".join(objectives)
    return {
        "arcface-keeps-what-softmax-keeps": Claim(
            "ArcFace embeddings still encode pose, illumination and expression: they decode as softmax's do",
            "4.2.1, Fig. 4",
            f"PSNR of {others} minus {first}",
            "dB",
            *margin,
            loss,
            by_dataset=True,
        ),
        "arcface-separates-better": Claim(
            "ArcFace enhances the separation between classes",
            "4.2.1, Fig. 4",
            f"AUC of verification by {others} minus {first}",
            "AUC",
            0,
            inf,
            separation,
            by_dataset=True,
        ),
        "template-size-hardly-matters": Claim(
            "The number of dimensions has minimal influence on the quality of the reconstructions",
            "4.2.1, Fig. 5",
            f"PSNR from templates of {' and '.join(layers)} minus {top}",
            "dB",
            *margin,
            layer,
            by_dataset=True,
        ),
    }


def competitor_claims(names: Names) -> dict[str, Claim]:
    """Figs. 6 and 7."""

    def ahead(metrics: Mapping, path: Sequence[str], decoder: str, measure: str) -> Estimate:
        """Ours minus another decoder's."""
        return negated(number(metrics, *path, decoder, measure, "minus_ours"))

    def quality(decoder: str, metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        parts = {}
        for variant in names.competitors:
            path = ("competitors", variant, dataset, "decoders")
            try:
                phases = [name for name in look_up(metrics, *path) if name.startswith(decoder)]
            except Missing:
                phases = [decoder]
            parts |= {f"{variant}, {name}": partial(ahead, metrics, path, name, "psnr") for name in phases}
        return parts_of(parts)

    def recovery(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        for variant in names.competitors:
            look_up(
                metrics, "competitors", variant, dataset
            )  # else these metrics, and what is accepted, are of other data
        return parts_of(
            {
                f"{variant}, {decoder}": partial(
                    ahead, metrics, ("competitors", variant, "acceptance", "decoders"), decoder, "type_1"
                )
                for variant in names.competitors
                for decoder in names.decoders
            }
        )

    where = {"nbnet": "4.2.2, Fig. 7", "residual-deconvolution": "4.2.2 (the paper's Fig. 6 has another competitor)"}
    claims = {
        f"better-than-{decoder}": Claim(
            f"DFD yields a higher PSNR than the decoder {decoder}",
            where.get(decoder, "4.2.2"),
            f"PSNR of our decoder minus {decoder}, also as it is after an earlier phase of its training, on the same templates",
            "dB",
            0,
            inf,
            partial(quality, decoder),
            by_dataset=True,
        )
        for decoder in names.decoders
    }
    claims["identity-recovered-as-well"] = Claim(
        "DFD recovers identities as well as its competitors",
        "4.2.2",
        f"share of reconstructions accepted against the same photo at {100 * names.far:g} % FAR, our decoder minus a competitor",
        "share",
        -names.rate_margin,
        inf,
        recovery,
    )
    return claims


def ablation_claims(names: Names) -> dict[str, Claim]:
    """Table 1's upper half."""

    def without(
        terms: Mapping[str, str], reference: str, measure: str, metrics: Mapping, dataset: str
    ) -> dict[str, Estimate]:
        """The reference minus each row, by what that row lacks."""
        path = partial(number, metrics, "ablation", names.ablation, dataset, "decoders")
        return {
            name: attempted(lambda row=row: negated(path(row, measure, f"minus_{reference}")))
            for name, row in terms.items()
        }

    def worst(measure: str, metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        path = partial(number, metrics, "ablation", names.ablation, dataset, "decoders")
        rows = [row for row in names.losses if row != "perceptual"]
        return parts_of({row: partial(path, row, measure, "minus_perceptual") for row in rows})

    removed = {"pixel": "gradient-perceptual", "gradient": "pixel-perceptual", "perceptual": "pixel-gradient"}
    single = {"pixel alone": "pixel", "gradient alone": "gradient"}
    rows = {
        "all-losses-help": (
            "Pixel, gradient and perceptual loss each improve the reconstructions",
            "all three global losses minus those without one of them",
            partial(without, removed, "global"),
        ),
        "perceptual-alone-is-worst": (
            "The perceptual loss alone is the worst of all",
            "each other row of Table 1 minus the perceptual loss alone",
            worst,
        ),
        "one-low-level-loss-is-not-enough": (
            "The pixel or the gradient loss alone is subpar to the complete loss",
            "the complete loss minus one loss alone",
            partial(without, single, "full"),
        ),
        "local-terms-help": (
            "The local terms improve the reconstructions (a little)",
            "global and local losses minus global ones",
            partial(without, {"local": "global"}, "full"),
        ),
    }
    return {
        f"{key}-{measure}": Claim(
            f"{text} ({measure.upper()})",
            "4.2.3, Table 1",
            f"{measure.upper()}, {compares}",
            unit,
            *better(measure),
            partial(effects, measure),
            by_dataset=True,
        )
        for key, (text, compares, effects) in rows.items()
        for measure, (unit, _) in MEASURES.items()
    }
