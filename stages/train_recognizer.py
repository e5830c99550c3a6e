"""Train a recognizer, and say how well it verifies people it has never seen."""

import torch

from dfd.core.artefacts import write_json, write_table
from dfd.core.devices import pick_device
from dfd.core.errors import DfdError
from dfd.faces.examples import Examples
from dfd.faces.leakage import learned_from, refuse_leakage
from dfd.faces.store import FaceStore
from dfd.learning import distributed
from dfd.learning.objectives import OBJECTIVES
from dfd.learning.recognizers import identity_labels, train_recognizer
from dfd.learning.training import Conditions
from dfd.measures.estimates import People
from dfd.measures.verification import cosine_pairs
from dfd.params import load_params
from dfd.recognizers.registry import build_recognizer, save_recognizer
from dfd.templates.embedding import embed_views
from dfd.templates.store import TemplateStore
from stages import FACES, RECOGNIZER, TEMPLATES, log, run


def main(recognizer: str) -> None:
    params = load_params()
    settings = params.entry("train_recognizer", recognizer)
    if distributed.started(settings.processes, params.device, "train_recognizer", recognizer):
        return
    network = params.entry("recognizers", recognizer)
    conditions = Conditions(pick_device(params.device), params.precision, params.seed, params.memory_gb)
    faces = FaceStore(FACES.format(settings.dataset))
    rows = faces.rows("train")
    unseen = FaceStore(FACES.format(params.roles.verification))
    test = unseen.rows("test")
    learned = learned_from([recognizer], params.train_recognizer, FACES)
    leaked = refuse_leakage(learned, unseen, test, params.roles.allow_leakage)
    if settings.objective == "distil":
        teacher = TemplateStore(TEMPLATES.format(settings.dataset, settings.teacher), faces)
        rows, targets, mirrored = teacher.rows("train"), teacher.template, teacher.mirrored
    else:
        targets = mirrored = identity_labels(faces, rows)

    torch.manual_seed(params.seed)
    module = build_recognizer(network.architecture, network.options)
    if not module.gives_gradients:
        raise DfdError(f"train_recognizer.{recognizer}: {network.architecture} cannot be trained; import its weights")
    module.place(params.faces.geometry)
    examples = Examples(faces, rows, module.view_size, targets, mirrored, params.memory_gb)
    head = OBJECTIVES[settings.objective](settings, module.dimension, examples.targets)
    history = train_recognizer(module, head, examples, settings, conditions)
    if distributed.rank():
        return
    save_recognizer(RECOGNIZER.format(recognizer), module, network.architecture, network.options)
    write_table(f"plots/train_recognizer/{recognizer}.csv", history)

    templates = embed_views(module, unseen, test).numpy()
    pairs = cosine_pairs(templates, templates, unseen.identities(test))
    people = People(unseen.identities(test), params.bootstrap, params.seed)
    summary = people.verification(pairs).metrics()
    metrics = {
        "dimension": module.dimension,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "n_faces": len(rows),
        "loss": {"first": history["loss"].iloc[0], "last": history["loss"].iloc[-1]},
        "verification": {params.roles.verification: summary | {"leaked_identities": leaked}},
    }
    write_json(f"metrics/train_recognizer/{recognizer}.json", metrics)
    log.info("%s: EER %.4f on %s", recognizer, summary["eer"]["value"], params.roles.verification)


if __name__ == "__main__":
    run(main)
