"""What section 4.3.3 says of adversarial noise: Figs. 12 and 13."""

from collections.abc import Mapping
from functools import partial
from math import inf

from dfd.findings.common import BACKBONES, RESNET, TAR, VGG, Names, threshold_of, variants_by_template
from dfd.findings.rule import Claim, Missing, above, attempted, look_up, minus, negated, number
from dfd.measures.estimates import Estimate

TARGETED = ("tfgsm", "itfgsm", "tcw", "itcw")  # the paper's four attacks


def attack_claims(names: Names) -> dict[str, Claim]:
    """Figs. 12 and 13."""

    def verification(metrics: Mapping, recognizer: str, *path: str) -> Estimate:
        return number(metrics, "attack", recognizer, "verification", *path, TAR)

    def identified(metrics: Mapping, variant: str, attack: str, *path: str) -> Estimate:
        return number(metrics, "attack", variants[variant], "targeted", attack, variant, "true_identity", *path)

    variants = variants_by_template()

    def harm(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {name: attempted(partial(verification, metrics, name, "decline", "before")) for name in BACKBONES}

    def defence(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        def gained(variant: str) -> Estimate:
            before, after = (verification(metrics, variants[variant], "decline", d) for d in ("before", variant))
            left = verification(metrics, variants[variant], "original", variant).value
            if left <= -before.value:  # whatever the attack does to decoded faces, they lose less
                raise Missing(
                    f"decoded originals have a TAR of {left:.2g}: no attack could take the {-before.value:.2g} from it"
                )
            return minus(after, before)

        return {variant: attempted(partial(gained, variant)) for variant in variants}

    def cost(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {v: attempted(partial(verification, metrics, own, "cost", v)) for v, own in variants.items()}

    def recovered(template: str, metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {
            f"{attack}, {variant}": attempted(partial(identified, metrics, variant, attack, "minus_before"))
            for attack in TARGETED
            for variant, own in variants.items()
            if own == template
        }

    def restored(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        return {v: attempted(partial(verification, metrics, own, "defence", v)) for v, own in variants.items()}

    def more_for_vgg(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        def ahead(attack: str, phi: str) -> Estimate:
            return minus(
                *(identified(metrics, f"{template}-{phi}", attack, "minus_before") for template in (VGG, RESNET))
            )

        return {
            f"{attack}, φ = {phi}": attempted(partial(ahead, attack, phi)) for attack in TARGETED for phi in BACKBONES
        }

    def moved(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        def kept(attack: str, recognizer: str) -> Estimate:
            path = ("attack", recognizer, "targeted", attack, "cosine")
            return above(number(metrics, *path), threshold_of(metrics, recognizer))

        return {
            f"{attack}, {name}": attempted(partial(kept, attack, name)) for attack in TARGETED for name in BACKBONES
        }

    def phi_matters(metrics: Mapping, dataset: str) -> dict[str, Estimate]:
        def apart(attack: str, template: str) -> Estimate:
            white, black = f"{template}-{template}", f"{template}-{RESNET if template == VGG else VGG}"
            found = look_up(metrics, "attack", template, "targeted", attack, white, "true_identity")
            if f"minus_{black}" in found:
                return identified(metrics, white, attack, f"minus_{black}")
            return negated(identified(metrics, black, attack, f"minus_{white}"))

        return {
            f"{attack}, {template}": attempted(partial(apart, attack, template))
            for attack in TARGETED
            for template in BACKBONES
        }

    share = "share of attacked photos identified as the true person"
    claims = {
        f"decoding-recovers-identities-{template}": Claim(
            f"After decoding {template} templates, attacked photos are identified rightly more often",
            "4.3.3, Fig. 12",
            f"{share}, after minus before decoding, by each attack",
            "share",
            0,
            inf,
            partial(recovered, template),
        )
        for template in BACKBONES
    }
    return claims | {
        "decoding-recovers-more-with-vgg": Claim(
            "Decoding recovers identities from attacked photos especially with VGG templates",
            "4.3.3, Fig. 12",
            f"{share}, after minus before decoding, VGG minus ResNet, φ being the same",
            "share",
            0,
            inf,
            more_for_vgg,
        ),
        "white-box-like-black-box-attacked": Claim(
            "White-box and black-box decoders do not differ on attacked photos",
            "4.3.3, Fig. 12",
            f"{share} after decoding, white-box minus black-box",
            "share",
            -names.rate_margin,
            names.rate_margin,
            phi_matters,
        ),
        "attacks-hardly-move-templates": Claim(
            "The attacks have a limited impact on the templates, and mostly mislead the softmax layer",
            "4.3.3, Fig. 12; 5",
            "cosine of attacked and original templates minus the recognizer's threshold at 0.1 % FAR (taken as exact)",
            "cosine",
            0,
            inf,
            moved,
        ),
        "fgsm-harms-verification": Claim(
            "FGSM lowers the verification performance",
            "4.3.3, Fig. 13",
            "TAR at 0.1 % FAR, attacked minus original",
            "TAR",
            -inf,
            0,
            harm,
        ),
        "decoding-defends-against-fgsm": Claim(
            "With decoding, FGSM lowers the verification performance considerably less",
            "4.3.3, Fig. 13",
            "change of TAR at 0.1 % FAR by the attack, with minus without decoding",
            "TAR",
            0,
            inf,
            defence,
        ),
        "decoding-restores-verification": Claim(
            "Attacked faces are verified better after decoding than before: it is a defence",
            "4.3.3, Fig. 13",
            "TAR at 0.1 % FAR of attacked faces, with minus without decoding",
            "TAR",
            0,
            inf,
            restored,
        ),
        "decoding-costs-little": Claim(
            "Without an attack, decoding lowers the verification performance but a little",
            "4.3.3, Fig. 13",
            "TAR at 0.1 % FAR of originals, with minus without decoding",
            "TAR",
            -names.rate_margin,
            inf,
            cost,
        ),
    }
