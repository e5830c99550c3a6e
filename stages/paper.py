"""The page of the further experiments: all that plots/report.html has, their pictures, and every claim, judged."""

from dfd.core.artefacts import read_json
from dfd.params import load_params
from dfd.reporting.chapters import LEAD, evaluated_on, inversion, pictures, run_chapters
from dfd.reporting.page import Section, write_page
from dfd.reporting.tables import read_metrics, read_rivals
from stages import log, run

FINDINGS = (
    "What the paper claims from its experiments, held against all metrics: choose a verdict to see its claims alone."
)

# Chapter, glob below plots, what to see.
PICTURES = (
    ("Losses", "ablation/faces.png", "Faces decoded by networks that learned from other sets of losses, from the same seeds: what does each loss add?"),
    ("Losses", "ablation/*psnr*.png", "PSNR by set of losses, and paired differences from the complete one: intervals that hold 0 tell nothing apart."),
    ("Losses", "ablation/*ssim*.png", "The same in SSIM, which sees structure where PSNR sees brightness."),
    ("Backbones", "backbones/*.png", "Templates of one recognizer or the other, and perceptual features of one or the other: the template matters more."),
    ("Recognizer's loss", "recognizer_loss/*.png", "The same network trained by softmax and by ArcFace on the same people, decoded alike."),
    ("Template's layer", "template_layer/*.png", "Templates of one network's layers, of few and of many numbers, decoded alike."),
    ("Competitors", "competitors/*/*.png", "Our decoder beside published ones, on the same templates: nearer to the photo, or rather accepted?"),
    ("What templates give away", "transfer/plane.png", "Every decoder, ours by each loss, competitors, retrieval: nearer to the photo at the right, rather taken for the person above."),
    ("What templates give away", "transfer/type_*.png", "Who takes whose reconstructions for the person: a framed recognizer judges what was made of its own templates."),
    ("What templates give away", "rivals/*/*.png", "What each loss, and each competitor, makes of the same templates; and of several trainings, what these differ by."),
    ("Adapters", "adapters/*.png", "How many leaked templates of known photos open another recognizer to a decoder that never learned it."),
)  # fmt: skip


def main() -> None:
    params = load_params()
    quality = read_metrics("evaluate", params.decoders)
    verification = read_metrics("verify", params.recognizers)
    evaluated = evaluated_on(quality, params.datasets, params.roles.verification)
    findings = read_json("metrics/findings.json")
    chapters = {"Key figures": [], "Findings": [Section("Every claim, judged", findings, FINDINGS)]}
    chapters |= run_chapters(quality, verification, evaluated, params.evaluate.far)
    attacks = read_metrics("invert", params.decoders) | read_rivals(params.roles.verification)
    chapters["What templates give away"] = inversion(attacks, params.roles.verification)
    for chapter, pattern, sentence in PICTURES:
        chapters.setdefault(chapter, []).extend(pictures(pattern, sentence))
    write_page("plots/paper.html", "Deep Face Decoder: the paper's experiments", LEAD, chapters)
    log.info("wrote plots/paper.html with %d chapters", len(chapters))


if __name__ == "__main__":
    run(main)
