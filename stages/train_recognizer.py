"""Train a recognizer, and say how well it verifies people it has never seen."""

import torch

from dfd.core.artefacts import write_json, write_table
from dfd.core.errors import DfdError
from dfd.core.paths import RECOGNIZER
from dfd.faces.examples import Examples
from dfd.learning import distributed
from dfd.learning.objectives import OBJECTIVES
from dfd.learning.recognizers import identity_labels, train_recognizer
from dfd.learning.training import Conditions
from dfd.measures.estimates import People
from dfd.measures.verification import cosine_pairs
from dfd.project import Project
from dfd.recognizers.registry import build_recognizer, save_recognizer
from dfd.templates.embedding import embed_views
from stages import log, run


def main(recognizer: str) -> None:
    project = Project()
    params = project.params
    settings = params.entry("train_recognizer", recognizer)
    if distributed.started(settings.processes, params.device, "train_recognizer", recognizer):
        return
    described = params.entry("recognizers", recognizer)
    conditions = Conditions(project.device, params.precision, params.seed, params.memory_gb)
    faces = project.faces(settings.dataset)
    rows = faces.rows("train")
    tested = project.test_rows(project.faces(params.roles.verification), project.learned([recognizer]))
    if settings.objective == "distil":
        teacher = project.templates(faces, settings.teacher)
        rows, targets, mirrored = teacher.rows("train"), teacher.template, teacher.mirrored
    else:
        targets = mirrored = identity_labels(faces, rows)

    torch.manual_seed(params.seed)
    network = build_recognizer(described.architecture, described.options)
    if not network.gives_gradients:
        raise DfdError(f"train_recognizer.{recognizer}: {described.architecture} cannot be trained; import its weights")
    network.place(params.faces.geometry)
    examples = Examples(faces, rows, network.view_size, targets, mirrored, params.memory_gb)
    head = OBJECTIVES[settings.objective](settings, network.dimension, examples.targets)
    history = train_recognizer(network, head, examples, settings, conditions)
    if distributed.rank():
        return
    save_recognizer(RECOGNIZER.format(recognizer), network, described.architecture, described.options)
    write_table(f"plots/train_recognizer/{recognizer}.csv", history)

    templates = embed_views(network, tested.faces, tested.rows).numpy()
    pairs = cosine_pairs(templates, templates, tested.identities)
    people = People(tested.identities, params.bootstrap, params.seed)
    summary = people.verification(pairs).metrics()
    metrics = {
        "dimension": network.dimension,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "n_faces": len(rows),
        "loss": {"first": history["loss"].iloc[0], "last": history["loss"].iloc[-1]},
        "verification": {params.roles.verification: summary | {"leaked_identities": tested.leaked}},
    }
    write_json(f"metrics/train_recognizer/{recognizer}.json", metrics)
    log.info("%s: EER %.4f on %s", recognizer, summary["eer"]["value"], params.roles.verification)


if __name__ == "__main__":
    run(main)
