"""The chapters of a run's page: its tables, what to see in the pictures that stages drew, its judged claims."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dfd.reporting.inversion import inversion_tables
from dfd.reporting.page import Section
from dfd.reporting.tables import key_table, quality_table, verification_table, view2_table

LEAD = (
    "What templates give away: faces that decoders make of nothing but the templates of people whom they never saw, "
    "how near these come to the photos, and what recognizers take them for. Brackets: 95 % intervals over people."
)
KEY = (
    "PSNR and SSIM of whole portraits against the photos. SAR, success attack rate: how many of all reconstructions the "
    "recognizer takes for the person, compared with the same photo (I) and with others of the person (II), at {:g} % FAR; "
    "a dash where no person has two photos."
)
FINDINGS = (
    "What the paper claims, held against the metrics above: the claims that need no further experiments. `make paper` runs "
    "those too, and writes plots/paper.html with every claim."
)

# Pictures that other stages drew: chapter, glob below plots, what to see in them.
PICTURES = (
    ("Reconstructions", "reconstruct/variants.png", "Top row: faces that no decoder has seen; below, what each decoder makes of their templates alone."),
    ("Equivariance", "reconstruct/rotate-*.png", "Top row: a face, turned; below, decoded as it is and after a linear map in template space that should turn it back."),
    ("Equivariance", "reconstruct/translate-*.png", "The same for shifts: with a good map every row shows one upright, centred face."),
    ("Equivariance", "reconstruct/scale-*.png", "The same for half and for one and a half times the size."),
    ("Occlusion", "occlude/*.png", "Blocked eyes and mouths, and what is decoded: look whether the change stays where the block is."),
    ("Attacks", "attack/*/grid.png", "Photos with noise that makes the recognizer see another person, the noise, and the decoded faces: whom do these show?"),
    ("Attacks", "attack/*/targeted.png", "How often the target (blue) and the true person (orange) are found, before and after decoding."),
    ("Attacks", "attack/*/roc.png", "Verification of original and of attacked pairs, before (solid) and after (dashed) decoding: left and up is better."),
    ("Attacks", "attack/*/epsilon.png", "Verification as the noise grows: a defence would keep the decoded lines above the undecoded one."),
    ("People", "cluster/*.png", "One person's photos in clusters of alike templates: how much do the decoded centroids differ?"),
    ("People", "aggregate/person-*.png", "Mean templates of one, two, more photos of a person, decoded: from left to right faces should grow more frontal and even."),
    ("People", "aggregate/verification.png", "Verification against the number of photos in a template: where does it level off?"),
    ("People", "aggregate/decoded.png", "How far decoded mean templates are from their mirror image, and how much they depend on which photos were drawn."),
    ("Disentangling", "disentangle/*/*.png", "The identity or the attribute part of a template replaced by a mean one: which changes the person, which the gender perceived?"),
)  # fmt: skip

# The same of what a decoder gives away of the people of roles.verification, below plots/invert/<decoder>/<data set>.
INVERSION = (
    ("sources", "Photos, what each kind of decoder makes of their templates, and the training face with the nearest template: which is the person?"),
    ("spread", "Faces, reconstructions, what these miss, and the spread that templates leave open, learned from training faces: bright is far."),
    ("judges", "Reconstructions that each recognizer takes for the person: the decoded one, and those that had no part in it."),
    ("curves", "The same at any false acceptance rate, beside how many photos of the person are accepted: reconstructions as high as photos are as good."),
    ("protections", "Recognition that is left against faces that are left: a good protection lies at the right, and low."),
)  # fmt: skip


def evaluated_on(quality: Mapping[str, dict], datasets: Sequence[str], first: str) -> list[str]:
    """The data sets that any decoder was evaluated on, that of verification first: it shows real people."""
    there = [name for name in datasets if any(values.get(name) for values in quality.values())]
    return sorted(there, key=lambda name: name != first)


def run_chapters(
    quality: Mapping[str, dict], verification: Mapping[str, dict], evaluated: Sequence[str], far: float
) -> dict[str, list[Section]]:
    """The chapters of the root pipeline's results: metrics of `evaluate` by decoder, of `verify` by recognizer, the names
    of the data sets that were evaluated, and the FAR of `evaluate`."""
    chapters = {}
    if evaluated:
        chapters["Key figures"] = [
            Section("What is reconstructed, and recognised", key_table(quality, evaluated), KEY.format(100 * far))
        ]
    chapters["Reconstructions"] = [
        Section(
            f"All measures, {name}",
            quality_table(quality, name),
            "Beside our decoders' PSNR that of the linear and the quadratic decoder and of the mean face, on the same faces.",
        )
        for name in evaluated
    ]
    for chapter, pattern, sentence in PICTURES:
        chapters.setdefault(chapter, []).extend(pictures(pattern, sentence))
    chapters["Reconstructions"] += pictures(
        "psnr.png",
        "PSNR of each variant against the linear decoder's and the mean face's: higher is nearer to the photo.",
    )
    chapters["Reconstructions"] += pictures(
        "losses.png",
        "The terms of the loss by epoch, in training and validation: a gap between the two is overfitting.",
    )
    chapters["Verification"] = _verification(verification)
    return chapters


def inversion(metrics: Mapping[str, dict], dataset: str) -> list[Section]:
    """The study of what decoders give away of a data set's people: metrics of `invert`, by decoder."""
    measured = {decoder: values[dataset] for decoder, values in metrics.items() if values.get(dataset)}
    sections = [Section(heading, table, text) for heading, text, table in inversion_tables(measured)]
    return sections + [
        section for name, sentence in INVERSION for section in pictures(f"invert/*/{dataset}/{name}.png", sentence)
    ]


def _verification(verification: Mapping[str, dict]) -> list[Section]:
    sections = [
        Section(
            "TAR (%) at 0.1 % FAR",
            verification_table(verification),
            "One face of each pair rotated, shifted or scaled, without and with a linear map that should undo it.",
        )
    ]
    if len(table := view2_table(verification)):
        sections.append(Section("LFW, view 2", table, "LFW's own protocol: ten folds of pairs; rates in %."))
    perturbed = {name: values.get("view2_perturbed", {}) for name, values in verification.items()}
    if perturbed := {name: values for name, values in perturbed.items() if "original" in values}:
        sections.append(
            Section(
                "View 2, one face of each pair perturbed: TAR (%) at 0.1 % FAR",
                verification_table(perturbed),
                "The pairs of people nobody learned from.",
            )
        )
    return sections + pictures("roc.png", "The whole curves: left and up is better; note the logarithmic FAR.")


def pictures(pattern: str, sentence: str) -> list[Section]:
    """A section for each PNG file below plots that the glob names, by name."""
    return [
        Section(path.relative_to("plots").with_suffix("").as_posix().replace("/", " · "), path, sentence)
        for path in sorted(Path("plots").glob(pattern))
    ]


def judged_claims(judged: dict) -> list[Section]:
    """The claims that this run has numbers for."""
    claims = {key: claim for key, claim in judged["claims"].items() if claim["effect"] is not None}
    verdicts = [claim["verdict"] for claim in claims.values()]
    counts = {verdict: verdicts.count(verdict) for verdict in judged["counts"]}
    return [Section("Claims, judged", {"counts": counts, "claims": claims}, FINDINGS)] if claims else []
