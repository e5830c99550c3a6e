"""Adversarial noise against one recognizer, before and after its templates are decoded (Figs. 12 and 13)."""

from pathlib import Path

import numpy as np

from dfd.core.artefacts import replacing, write_json, write_table
from dfd.measures.estimates import People
from dfd.project import Project
from dfd.studies.attack.attacks import ATTACKS
from dfd.studies.attack.figures import attack_bars, attack_grid, attack_roc, attack_strength
from dfd.studies.attack.settings import Attacks
from dfd.studies.attack.targeted import attack_identification, targeted_table, why_not, with_most_photos
from dfd.studies.attack.verification import attacked_pairs, roc_curves, tar_over_epsilon, verification_metrics
from stages import log, run


def main(recognizer: str) -> None:
    project = Project()
    params = project.params
    settings, dataset, seed = params.attacks, params.roles.verification, params.seed
    faces = project.faces(dataset)
    learned = project.learned([recognizer], decoder=params.roles.decoders)
    most = lambda rows: rows[with_most_photos(faces.identities(rows), settings.max_people, settings.photos)]
    tested = project.test_rows(faces, learned, most)
    rows = tested.rows
    templates, module = project.templates(faces, recognizer).template[rows], project.recognizer(recognizer)
    variants = [name for name, variant in params.variants.items() if variant.template == recognizer]
    decoders = {name: project.decoder(name) for name in variants}

    people = People(tested.identities, params.bootstrap, seed)
    metrics: dict = {"n_faces": len(rows), "n_identities": len(people), "leaked_identities": tested.leaked}
    plots = Path(f"plots/attack/{recognizer}")
    if left_out := why_not(module, len(people)):
        log.info("%s: %s", recognizer, left_out)
        with replacing(plots / "note.txt") as temporary:  # DVC misses a folder that is not there
            temporary.write_text(f"{left_out}\n", encoding="utf-8")
        return write_json(f"metrics/attack/{recognizer}.json", metrics | left_out.metrics("attack"))
    if not variants:
        metrics["decoding_note"] = f"no variant decodes templates of {recognizer}: everything is before decoding"
    of = (module, decoders, faces, rows, templates)

    identification, shown = attack_identification(
        *of, settings.enrol, _attacks(settings), people, np.random.default_rng(seed)
    )
    table = targeted_table(identification["targeted"])
    write_table(plots / "targeted.csv", table)
    title = f"Photos of {dataset}, attacked to be identified by {recognizer} as another"
    attack_bars(plots / "targeted.png", table, title)
    attack_grid(plots / "grid.png", shown, settings.epsilon, f"Identified by {recognizer}, with its probability")

    epsilons = sorted({*settings.epsilons, settings.epsilon})
    pairs = attacked_pairs(*of, epsilons, settings.matching_pairs, np.random.default_rng(seed))
    verification = verification_metrics(pairs, settings.epsilon, people)
    table = roc_curves(pairs, settings.epsilon)
    write_table(plots / "roc.csv", table)
    title = f"Verification by {recognizer} on {dataset}, ε = {settings.epsilon:g} grey levels"
    attack_roc(plots / "roc.png", table, variants, title)
    table = tar_over_epsilon(verification, epsilons)
    write_table(plots / "epsilon.csv", table)
    title = f"Verification by {recognizer} on {dataset}, one face of each pair attacked"
    attack_strength(plots / "epsilon.png", table, title)
    write_json(f"metrics/attack/{recognizer}.json", metrics | identification | {"verification": verification})


def _attacks(settings: Attacks) -> dict[str, tuple[int, dict]]:
    """Each attack's number of pairs and its options."""
    own = {"cw-l2": settings.cw_l2.model_dump()}
    own = {name: (options.pop("pairs"), options) for name, options in own.items()}
    return {name: own.get(name, (settings.pairs, {"epsilon": settings.epsilon})) for name in ATTACKS}


if __name__ == "__main__":
    run(main)
