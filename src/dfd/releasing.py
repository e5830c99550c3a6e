"""Releasing what was trained here: small files that carry their provenance, each with a card for its readers."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from dfd.core.artefacts import FORMAT, file_sha256, read_json, read_module, save_state, state_sha256, write_text
from dfd.core.errors import DfdError
from dfd.decoder.provenance import decoder_facts
from dfd.decoder.registry import load_decoder
from dfd.faces.store import FaceStore
from dfd.learning.settings import Loss
from dfd.recognizers.registry import build_recognizer, weights_sha256

LARGEST = 4 * 2**20  # bytes of a released file
ENTRY = 150  # bytes, about, that a file's header spends on each of its tensors
CPU = torch.device("cpu")

USE = """## Intended use

Research on what face templates reveal and on how to protect them. A reconstruction is a guess that looks like a face: it
is no evidence of anyone's identity, gender or origin, and must not be used to identify people.
"""
LICENCES = {
    "lfw": "Trained on photos of real people (Labeled Faces in the Wild): for research only, as LFW itself.",
    "synthetic": "Trained on synthetic faces, nobody's.",
}


def release_decoder(source: Path, out: Path, settings: Mapping, faces: Path, metrics: Path) -> None:
    """Write a decoder trained here (source) as a released file, and its card beside it.

    settings: of the data set that it learned from, as a dictionary; faces: that data set's face store; metrics: the
    folder. Neither of the last two need be there: the card says less then. Raises DfdError for a decoder without
    provenance, and for one whose file would be too large.
    """
    decoder = load_decoder(source, CPU)
    config = decoder.config
    if "people" not in config:
        raise DfdError(f"{source}: does not say whom its training saw; train it again (`dvc repro`), then release it")
    _write(out, decoder.state_dict(), config | {"released": True})
    evaluated = _json(metrics / "evaluate" / f"{source.stem}.json")
    learned = _json(metrics / "train_decoder" / f"{source.stem}.json")
    facts, norm = decoder_facts(decoder), config["training_templates"]["norm"]
    weights = Loss.model_validate(config["loss"]).weights() if "loss" in config else {}
    loss = ", ".join(f"{name} {value:g}" for name, value in weights.items() if value)
    epochs = f", {learned['epochs']} epochs, the weights of epoch {learned['best_epoch']}" if learned else ""
    lines = [
        f"A decoder of the Deep Face Decoder: faces of {decoder.size} px from the templates of `{config['recognizer']}`.",
        "",
        f"- **Recognizer**: `{config['recognizer']}`, layer `{config['layer']}`, weights `{config['weights_sha256']}`.",
        f"- **Templates**: {decoder.dimension} numbers, of norm {norm['mean']:.3g} ± {norm['sd']:.2g}.",
        f"- **Network**: {config['architecture']}, {facts['parameters']:,} parameters, {_options(config['options'])}.",
        f"- **Faces**: geometry {config['geometry']}, filled by {config['fill']}.",
        f"- **Data**: {_data(config['dataset'], settings, faces, config['n_faces'], facts['n_people'])}",
        f"- **Training**: losses {loss}{epochs}.",
    ]
    _card(out, lines, _decoder_figures(evaluated), settings)


def release_recognizer(
    source: Path, out: Path, name: str, training: Mapping, settings: Mapping, faces: Path, metrics: Path
) -> None:
    """The same of a recognizer trained here; training: its entry in `train_recognizer`, as a dictionary."""
    config, state = read_module(source)
    state = {key: value.half().float() if _halved(key, value) else value for key, value in state.items()}
    recognizer = build_recognizer(config["architecture"], config["options"])
    recognizer.fit(state)
    recognizer.load_state_dict(state)
    parameters = recognizer.count_parameters()
    digest = weights_sha256(recognizer)  # of what is read back: float16 changes templates, if little
    header = config | {
        "format": FORMAT,
        "released": True,
        "recognizer": name,
        "weights_sha256": digest,
        "dataset": training["dataset"],
    }
    _write(out, state, header)
    learned = _json(metrics / "train_recognizer" / f"{name}.json")
    teacher = f" of `{training['teacher']}`" if training["objective"] == "distil" else ""
    lines = [
        f"A recognizer of the Deep Face Decoder: templates of {recognizer.dimension} numbers.",
        "",
        f"- **Network**: {config['architecture']}, {parameters:,} parameters, {_options(config['options'])}.",
        f"- **Weights**: `{digest}`, which files of its templates carry.",
        f"- **Data**: {_data(training['dataset'], settings, faces, learned.get('n_faces'), None)}",
        f"- **Training**: objective {training['objective']}{teacher}, {training['epochs']} epochs.",
    ]
    _card(out, lines, _recognizer_figures(learned), settings)


def _halved(name: str, value: torch.Tensor) -> bool:
    """Whether it is written as float16: not vectors, which take no room, nor the whitening, which has a large range."""
    return value.dtype == torch.float32 and value.ndim > 1 and not name.startswith("whitening.")


def _write(out: Path, state: Mapping[str, torch.Tensor], config: Mapping) -> None:
    if out.suffix != ".safetensors":
        raise DfdError(f"{out}: released files are named .safetensors")
    state = {name: value.half() if _halved(name, value) else value for name, value in state.items()}
    if broken := [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]:
        raise DfdError(f"{out}: {broken[0]} holds numbers beyond float16's; such a network cannot be released")
    size = len(json.dumps(config)) + sum(value.numel() * value.element_size() + ENTRY for value in state.values())
    if size > LARGEST:
        raise DfdError(
            f"{out}: {size / 2**20:.1f} MiB as float16, and a released file has {LARGEST / 2**20:g} at most; "
            "train a smaller network"
        )
    save_state(out, state, {**config, "state_sha256": state_sha256(state)})


def _card(out: Path, lines: list[str], figures: list[str], settings: Mapping) -> None:
    file = f"- **File**: `{out.name}`, {out.stat().st_size:,} bytes, float16, SHA-256 `{file_sha256(out)}`."
    licence = LICENCES.get(
        settings["source"], f"Trained on photos of the source {settings['source']}: their terms apply."
    )
    figures = figures or ["No figures were measured where this file was made."]
    text = [f"# {out.stem}", "", *lines, file, "", "## Figures", "", *figures, "", USE, f"## Licence\n\n{licence}"]
    write_text(out.with_suffix(".md"), "\n".join(text) + "\n")


def _data(dataset: str, settings: Mapping, faces: Path, n_faces: int | None, n_people: int | None) -> str:
    """Who was learned from, and who was kept for testing, as one sentence each."""
    learned = f" of {n_people:,} people for training and validation" if n_people else ""
    text = f"`{dataset}` (source {settings['source']})" + (
        f": {n_faces:,} training faces{learned}." if n_faces else "."
    )
    if faces.is_file():
        store = FaceStore(faces)
        rows = store.rows("test")
        text += f" Kept for testing, never seen: {len(rows):,} faces of {len(set(store.identities(rows))):,} people"
        folds = settings["test_folds"]
        text += f", all of the folds {', '.join(map(str, folds))} of its published pairs among them." if folds else "."
    return text


def _decoder_figures(evaluated: Mapping) -> list[str]:
    """A table of what `evaluate` measured on unseen people, one row for each data set."""
    rows = []
    for dataset, values in evaluated.items():
        if not isinstance(values, dict):
            continue
        accepted = values.get("acceptance", {})
        psnr, ssim = (_estimate(values.get(name), digits) for name, digits in (("psnr", 2), ("ssim", 3)))
        linear = _number((values.get("psnr") or {}).get("linear"), 2)
        types = [_share(accepted.get(name)) for name in ("type_1", "type_2")]
        rows.append(f"| {dataset} | {values.get('n_faces', '–')} | {psnr} | {linear} | {ssim} | {' | '.join(types)} |")
    header = [
        "| data set | faces | PSNR (dB) | linear decoder | SSIM | accepted, type I (%) | type II (%) |",
        "| --- " * 7 + "|",
    ]
    note = [
        "",
        "Unseen people; brackets: 95 % intervals. Accepted by the recognizer at 0.1 % FAR, against the same photo (I) or another (II).",
    ]
    return header + rows + note if rows else []


def _recognizer_figures(learned: Mapping) -> list[str]:
    rows = [
        f"| {dataset} | {_share(values.get('tar_at_far_0.001'))} | {_share(values.get('eer'))} |"
        for dataset, values in learned.get("verification", {}).items()
    ]
    return ["| data set | TAR at 0.1 % FAR (%) | EER (%) |", "| --- | --- | --- |", *rows] if rows else []


def _estimate(values: Mapping | None, digits: int, key: str = "mean", factor: float = 1.0) -> str:
    """A number with its interval; a dash for none."""
    if not values or values.get(key) is None:
        return "–"
    low, high = (values.get(f"ci95_{end}") for end in ("low", "high"))
    interval = "" if low is None else f" [{factor * low:.{digits}f}, {factor * high:.{digits}f}]"
    return f"{factor * values[key]:.{digits}f}{interval}"


def _share(values: Mapping | None) -> str:
    return _estimate(values, 1, "value", 100.0)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _options(options: Mapping) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


def _json(path: Path) -> dict:
    """A file of metrics; nothing where it is not there."""
    return read_json(path) if path.is_file() else {}
