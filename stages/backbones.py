"""Compare the variants on the same faces: whose templates, and whose φ (Fig. 3, Table 1)."""

from dfd.decoder.registry import decode
from dfd.project import Project
from dfd.studies.reconstruction.comparison import Comparison
from stages import run


def main() -> None:
    project = Project()
    variants = project.params.variants
    decoders = {name: project.decoder(name) for name in variants}
    references = {
        name: [  # those that differ in one of the two
            other
            for other, theirs in variants.items()
            if (theirs.template == variant.template) != (theirs.perceptual == variant.perceptual)
        ]
        for name, variant in variants.items()
    }
    comparison = Comparison.open(project, references)
    for tested, templates in comparison.tested(project, [variant.template for variant in variants.values()]):
        images = {name: decode(decoder, templates[variants[name].template]) for name, decoder in decoders.items()}
        comparison.add(tested, templates, images)
    title = "Faces from templates of two recognizers"
    comparison.write("metrics/backbones/variants.json", "plots/backbones", title, reference=next(iter(variants)))


if __name__ == "__main__":
    run(main)
