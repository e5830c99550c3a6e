"""Compare what templates of a softmax and of an ArcFace recognizer hold, both trained on the same people (Fig. 4)."""

from dfd.core.left_out import told_apart
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.leakage import people_seen
from dfd.learning.recognizers import split_people
from dfd.measures.side_by_side import verification_by_recognizer
from dfd.project import Project
from dfd.recognizers.registry import load_recognizer
from dfd.studies.reconstruction.comparison import Comparison, against
from dfd.templates.embedding import embed_views
from stages import run


def main() -> None:
    project = Project()
    params, settings = project.params, project.params.experiments.recognizer_loss
    folders, missing = told_apart({name: project.experiment("recognizer_loss", name) for name in settings.objectives})
    decoders = {name: load_decoder(f"{folder}/decoder.safetensors", project.device) for name, folder in folders.items()}
    recognizers = {
        name: load_recognizer(f"{folder}/recognizer.safetensors", project.device, params.faces.geometry)
        for name, folder in folders.items()
    }
    people = project.faces(settings.dataset)
    taught, others = split_people(people, settings.train, params.seed)
    taught_people = people_seen(people, taught)
    reference = settings.objectives[0]
    comparison = Comparison.open(project, against(decoders, reference), missing, settings.perceptual)
    learned, only = {"recognizers compared": taught_people}, {settings.dataset: others}
    for tested, templates in comparison.tested(project, learned=learned, only=only):
        theirs = {name: embed_views(recognizer, tested.faces, tested.rows) for name, recognizer in recognizers.items()}
        images = {name: decode(decoder, theirs[name]) for name, decoder in decoders.items()}
        metrics = comparison.add(tested, templates, images)
        if tested.faces.name == settings.dataset:
            metrics["learned_from"] = {"n_faces": len(taught), "n_identities": len(taught_people.people)}
        theirs = {name: template.numpy() for name, template in theirs.items()}
        metrics |= verification_by_recognizer(theirs, comparison.people(tested))
    histories = {name: f"{folder}/history.csv" for name, folder in folders.items()}
    title = f"Faces from templates of recognizers trained by different losses on people of {settings.dataset}"
    metrics = f"metrics/recognizer_loss/{settings.dataset}.json"
    comparison.write(metrics, "plots/recognizer_loss", title, reference, histories)


if __name__ == "__main__":
    run(main)
