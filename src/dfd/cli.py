"""The command line `dfd`: released decoders, and what the pipeline trained, applied to one's own photos and templates.

It runs in the project's folder, with its params.yaml.
"""

import contextlib
import glob
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
import torch
import typer
from PIL import Image

from dfd.core.artefacts import LONGEST_NAME, read_config, replacing, shortened, write_json, write_text
from dfd.core.devices import pick_device
from dfd.core.downloads import cache_folder
from dfd.core.errors import DfdError, for_the_user
from dfd.core.paths import DECODER, FACES, RECOGNIZER
from dfd.core.sources import changed
from dfd.core.vectors import few
from dfd.decoder.adapted import adapted
from dfd.decoder.base import Decoder
from dfd.decoder.provenance import admit, axes
from dfd.decoder.registry import decode as decode_templates
from dfd.explorer.opening import open_space
from dfd.explorer.server import Explorer
from dfd.explorer.tables import write_table_with_images
from dfd.faces.store import MIRROR, FaceStore
from dfd.params import Params, load_params, patched
from dfd.photos.archives import is_archive, read_photos
from dfd.photos.detection import Detector
from dfd.photos.preprocessing import Census, find_faces
from dfd.ranges import page as settings_page
from dfd.recognizers.registry import weights_sha256
from dfd.releasing import release_decoder, release_recognizer
from dfd.rendering.grids import image_grid
from dfd.reporting.results import write_results
from dfd.studies.inversion.audit import audit as run_audit
from dfd.studies.inversion.audit_page import page
from dfd.templates.adapters import check_pairs, fit_adapter, load_adapter, save_adapter
from dfd.templates.embedding import embed_views
from dfd.templates.files import (
    SOURCE,
    TEMPLATE,
    WRITERS,
    TemplatesFile,
    by_suffix,
    read_keyed_templates_file,
    read_templates_file,
    write_templates_file,
)
from dfd.templates.lookup import match, people_of
from dfd.weights.downloads import fetch, verify, weights_path
from dfd.weights.manifest import MANIFEST
from dfd.workspace import Workspace

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

NAME = LONGEST_NAME - len("..partial.png") - len("#99999")  # bytes of an image's name without the rest

Photos = Annotated[list[str], typer.Argument(help="Photos, folders of photos, or globs in quotes.", metavar="PHOTO...")]
Folder = Annotated[Path, typer.Option("--out", help="The folder that the images are written into.")]
Name = Annotated[str, typer.Option("--template", help="The array or column that holds the templates.")]
SHEET = (20, 20)  # faces in a sheet: rows, and in each of them
MANY = 1000  # templates, of which a sheet is proposed


@app.callback()
def about() -> None:
    """Deep Face Decoder: faces from templates. Run it in the project's folder; nothing need be trained before."""


@app.command(epilog="Example: dfd reconstruct anna.jpg 'holiday/*.jpg' --variant vgg-resnet --out reconstructions")
def reconstruct(
    photos: Photos,
    out: Folder,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="A decoder that params.yaml names; give it again for more. [all imported ones]"),
    ] = None,
) -> None:
    """Photo to template to face: writes, for each photo, its face beside its reconstructions."""
    project = Workspace()
    names = list(dict.fromkeys(variant or project.decoders_at_hand()))
    pairs = {name: project.pair(name) for name in names}
    size = max(decoder.size for _, decoder in pairs.values())
    with _faces(photos, project.params) as faces:
        rows = np.arange(len(faces))
        recognizers = dict.fromkeys(recognizer for recognizer, _ in pairs.values())
        templates = {recognizer: embed_views(recognizer, faces, rows) for recognizer in recognizers}
        images = [faces.views(rows, size)]
        images += [decode_templates(decoder, templates[recognizer]) for recognizer, decoder in pairs.values()]
    for name, *row in zip(_unique(faces.faces["key"]), *images, strict=True):
        image_grid(out / f"{name}.png", [("", row)], ["face", *names], title=None, cell=max(112, size))
    typer.echo(f"wrote {len(rows)} images to {out}")


@app.command(epilog="Example: dfd embed holiday/ --recognizer resnet --out templates.npz")
def embed(
    photos: Photos,
    out: Annotated[Path, typer.Option(help="A file .npz, .h5 or .parquet for `key` (N,) and `template` (N, D).")],
    recognizer: Annotated[str, typer.Option(help="A recognizer of params.yaml.")],
    images: Annotated[
        bool,
        typer.Option("--images", help="Besides identity, split, face and reconstruction (PNG), into a .parquet."),
    ] = False,
    variant: Annotated[
        str | None, typer.Option(help="Of --images: the decoder. [the first at hand of this recognizer]")
    ] = None,
) -> None:
    """Photo to template: writes the templates of the photos' faces; with --images a table for viewers of data sets."""
    by_suffix(out, WRITERS)  # before the work, not after it
    if images and out.suffix.lower() != ".parquet":
        raise DfdError(f"{out}: images go into a .parquet")
    if variant and not images:
        raise DfdError(f"--variant {variant} decodes for --images alone; give both or neither")
    project = Workspace()
    network, decoder = project.recognizer(recognizer), None
    if images and (variant := variant or project.decoder_of(recognizer)):
        template, decoder = project.pair(variant)
        if template is not network:
            raise DfdError(f"{variant} decodes templates of {project.params.decoders[variant]}, not of {recognizer}")
    with _faces(photos, project.params) as faces:
        rows = np.arange(len(faces))
        templates = embed_views(network, faces, rows)
        views = faces.views(rows, faces.size) if images else None
    source = dict(zip(SOURCE, (recognizer, weights_sha256(network), faces.geometry), strict=True))
    keys = faces.faces["key"].tolist()
    if images:
        decoded = None if decoder is None else decode_templates(decoder, templates)
        if decoder is None:
            typer.echo(f"{out}: no reconstructions, no decoder of {recognizer} is here", err=True)
        else:
            source["decoder"] = variant
        people, splits = people_of(keys).tolist(), faces.faces["split"].tolist()
        write_table_with_images(out, keys, people, splits, templates, views, decoded, source)
    else:
        write_templates_file(out, keys, templates.numpy(), source)
    typer.echo(f"wrote {len(templates)} templates, {templates.shape[1]}-d, to {out}")


@app.command(epilog="Example: dfd decode encodings.npy --out faces")
def decode(
    templates: Annotated[
        Path,
        typer.Argument(help=".npy, .npz, .h5, .parquet or .csv: `template` (N, D) or one (D,), and `key` if any."),
    ],
    out: Folder,
    variant: Annotated[
        str | None,
        typer.Option(help="A decoder that params.yaml names. [the adapter's, or the first imported one that fits]"),
    ] = None,
    adapter: Annotated[Path | None, typer.Option(help="A file of `dfd adapt`, for another system's templates.")] = None,
    template: Name = TEMPLATE,
    mean: Annotated[bool, typer.Option("--mean", help="One face, of the mean of all the templates.")] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help="400 faces to an image, each above its key.")] = False,
) -> None:
    """Template to face: writes one image per template; says what makes templates doubtful."""
    project = Workspace()
    linear = None if adapter is None else load_adapter(adapter, project.device)
    if variant is None and linear is not None:
        variant = linear.config["to"]["decoder"]
    if variant is not None:
        project.decoder_file(variant)  # an unknown name is told before the templates are read
    file = read_templates_file(templates, template)
    name = variant or _fitting(project, file)
    decoder = project.decoder(name)
    if linear is not None:
        decoder = adapted(decoder, linear)
    vectors, warnings = admit(decoder, file, name if adapter is None else f"{name} behind {adapter}")
    if warnings:
        typer.echo(f"warning: {'; '.join(warnings)}", err=True)
    keys = [str(number) for number in range(len(file.template))] if file.key is None else file.key
    if mean:
        keys, vectors = ["mean"], vectors.mean(0, keepdim=True)
    if sheet:
        _write_sheets(out, decoder, keys, vectors)
    else:
        if len(keys) > MANY:
            typer.echo(f"{len(keys)} images; --sheet writes {SHEET[0] * SHEET[1]} faces to one", err=True)
        _write_faces(out, decoder, keys, vectors)
    typer.echo(f"wrote {len(keys)} faces to {out}" + ("" if variant else f", decoded by {name}"))


@app.command(epilog="Example: dfd explore data/templates/orl/resnet.h5")
def explore(
    templates: Annotated[
        Path, typer.Argument(help="A template store, or templates of your own: .npy, .npz, .h5, .parquet or .csv.")
    ],
    variant: Annotated[
        list[str] | None,
        typer.Option(help="A decoder that params.yaml names; give it again for more. [all at hand that fit]"),
    ] = None,
    faces: Annotated[
        Path | None, typer.Option(help="The face store (.h5) with the photos of the templates' keys. [the store's own]")
    ] = None,
    adapter: Annotated[Path | None, typer.Option(help="A file of `dfd adapt`, for another system's templates.")] = None,
    template: Name = TEMPLATE,
    port: Annotated[int, typer.Option(help="Of 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8050,
) -> None:
    """A page on this machine alone: a map of templates; any of them, or any point between them, decoded."""
    space, notes = open_space(Workspace(), templates, variant or (), faces, adapter, template)
    for note in notes:
        typer.echo(f"warning: {note}", err=True)
    with Explorer(space, port) as server:
        typer.echo(f"{server.url} shows {len(space.keys)} templates; Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


@app.command(epilog="Example: dfd release resnet-identity --out released/resnet-identity.safetensors")
def release(
    out: Annotated[Path, typer.Option(help="A file .safetensors; its card is written beside it, as .md.")],
    variant: Annotated[str | None, typer.Argument(help="A variant that was trained here.")] = None,
    recognizer: Annotated[str | None, typer.Option(help="Instead: a recognizer that was trained here.")] = None,
) -> None:
    """What was trained here as a small file (float16) for others, with a card that says what it is."""
    params = load_params()
    if (variant is None) == (recognizer is None):
        raise DfdError("release either a variant or a --recognizer")
    if variant is not None:
        params.entry("variants", variant)
        source = Path(DECODER.format(variant))
        dataset = read_config(source).get("dataset", params.roles.decoders)
    else:
        training = params.entry("train_recognizer", recognizer)
        source, dataset = Path(RECOGNIZER.format(recognizer)), training.dataset
    about = (params.entry("datasets", dataset).model_dump(), Path(FACES.format(dataset)), Path("metrics"))
    if variant is not None:
        release_decoder(source, out, *about)
    else:
        release_recognizer(source, out, recognizer, training.model_dump(), *about)
    typer.echo(f"wrote {out} ({out.stat().st_size / 2**20:.1f} MiB) and {out.with_suffix('.md')}")


@app.command(epilog="Example: dfd adapt photos/ theirs.npz --decoder resnet-identity --out theirs.safetensors")
def adapt(
    photos: Photos,
    templates: Annotated[
        Path,
        typer.Argument(
            help=".npz, .h5, .parquet or .csv: another system's `template` (N, D) of the photos `key` (N,)."
        ),
    ],
    decoder: Annotated[str, typer.Option(help="A decoder: of variants or import_decoder in params.yaml.")],
    out: Annotated[Path, typer.Option(help="A file .safetensors, for `dfd decode --adapter`.")],
    template: Name = TEMPLATE,
) -> None:
    """Another system's templates of known photos to an adapter, which opens all its templates to a decoder.

    A template is of the photo that has its key, as `dfd embed` writes them, or its file name where no other has it. A
    photo's person is its folder; where all photos lie in one folder, each is a person.
    """
    if out.suffix != ".safetensors":
        raise DfdError(f"{out}: adapters are kept in .safetensors files")
    project = Workspace()
    recognizer, network = project.pair(decoder)
    file = read_keyed_templates_file(templates, template)
    keys, vectors = file.key, file.template
    with _faces(photos, project.params) as faces:
        theirs, rows, unmatched = _paired(templates, keys, faces)
        photo_keys = faces.faces["key"].iloc[rows].tolist()
        if unmatched:
            typer.echo(
                f"{templates}: left out {len(unmatched)} of no face among the photos: {few(unmatched)}", err=True
            )
        source, people = torch.from_numpy(vectors[theirs]), people_of(photo_keys)
        check_pairs(source, people)  # before the work, not after it
        target, mirrored = embed_views(recognizer, faces, rows), embed_views(recognizer, faces, rows, MIRROR)
    adapter = fit_adapter(source, target, people, axes(network), mirrored, project.params.seed)
    save_adapter(
        out,
        adapter,
        source={"name": file.recognizer or templates.stem, "weights_sha256": file.weights_sha256},
        target={
            "decoder": decoder,
            "recognizer": project.params.decoders[decoder],
            "weights_sha256": network.config.get("weights_sha256"),
        },
    )
    typer.echo(
        f"wrote {out}: from templates of {adapter.dimension} numbers to those of {decoder}, fitted on {len(rows)} pairs "
        f"of {adapter.config['n_people']} people; cosine to the true ones of people it was not fitted on: "
        f"{adapter.config['cosine']:.3f}, {adapter.config['cosine_whitened']:.3f} as the decoder sees them"
    )


@app.command(epilog="Example: dfd audit photos/ templates.parquet --out audit.html")
def audit(
    photos: Photos,
    templates: Annotated[
        Path, typer.Argument(help=".npz, .h5, .parquet or .csv: a system's `template` (N, D) of the photos `key` (N,).")
    ],
    out: Annotated[Path, typer.Option(help="A file .html; the numbers are written beside it, as .json.")],
    decoder: Annotated[
        str | None, typer.Option(help="A decoder that params.yaml names. [the first imported one]")
    ] = None,
    faces: Annotated[bool, typer.Option(help="Show twenty of the photos and their reconstructions.")] = True,
    template: Name = TEMPLATE,
) -> None:
    """What a system's templates give away: who accepts what is decoded from them, how like it is, and what would help.

    Keys and people are as in `dfd adapt`. Half of the people teach the attacker, the others are tried; the system's model is
    not needed.
    """
    if out.suffix != ".html":
        raise DfdError(f"{out}: the page is a file .html")
    project = Workspace()
    name = decoder or project.decoders_at_hand()[0]
    _, module = project.pair(name)
    variant = project.params.decoders[name]
    recognizers = {key: project.recognizer(key) for key in project.recognizers_at_hand()}
    file = read_keyed_templates_file(templates, template)
    left_out: dict[str, str] = {}
    with _faces(photos, project.params, left_out) as store:
        theirs, rows, unmatched = _paired(templates, file.key, store)
        left_out |= dict.fromkeys(unmatched, "a template of no face among the photos")
        people, vectors = people_of(store.faces["key"].iloc[rows].tolist()), torch.from_numpy(file.template[theirs])
        digests = {key: weights_sha256(recognizer) for key, recognizer in recognizers.items()}
        system = next((key for key, digest in digests.items() if digest == file.weights_sha256), None)
        judged = (recognizers, variant, system, project.params.bootstrap, project.params.seed)
        result = run_audit(store, rows, people, vectors, module, *judged)
    text = page(result, f"What {file.recognizer or templates.stem} gives away, decoded by {name}", left_out, faces)
    write_text(out, text)
    counts = {"n_left_out": len(left_out)}
    write_json(out.with_suffix(".json"), result.metrics | counts)
    typer.echo(f"wrote {out} and {out.with_suffix('.json')}")


@app.command(epilog="Example: dfd ranges | grep train_decoder")
def ranges() -> None:
    """What every setting of params.yaml may be, as in docs/settings.md."""
    typer.echo(settings_page(), nl=False)


@app.command(epilog="Example: dfd profile lfw --apply && dvc repro")
def profile(
    name: Annotated[str, typer.Argument(help="A file of the folder profiles, without .yaml.")],
    apply: Annotated[bool, typer.Option("--apply", help="Write the changes into params.yaml, comments kept.")] = False,
) -> None:
    """What a profile would change in params.yaml."""
    path = Path("profiles") / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in Path("profiles").glob("*.yaml"))) or "none"
        raise DfdError(f"{path}: no such profile; there are: {there}")
    text, changes = patched(path)
    for key, (old, new) in changes.items():
        typer.echo(f"{key}: {_shown(old)} -> {_shown(new)}")
    if apply and changes:
        write_text("params.yaml", text)
    typer.echo(
        f"{len(changes)} changes" + (" written to params.yaml" if apply else "; --apply writes them to params.yaml")
    )


@app.command(epilog="Example: dfd results lfw, after dfd profile lfw --apply && dvc repro")
def results(
    dataset: Annotated[str, typer.Argument(help="A data set of params.yaml that the pipeline ran on.")],
    out: Annotated[Path, typer.Option(help="The folder that <data set>.json and .md are written into.")] = Path(
        "docs/results"
    ),
) -> None:
    """The metrics of a run on a data set in one file, and their tables in another."""
    write_results(load_params(), dataset, out)
    typer.echo(f"wrote {out / dataset}.json and {out / dataset}.md")


@app.command(epilog="Example: dfd status && dvc status")
def status() -> None:
    """Which files outside the project, named in params.yaml, have changed since the pipeline read them; DVC does not watch them."""
    params = load_params()
    lines = list(changed({*params.datasets, *params.import_recognizer, *params.import_decoder}))
    typer.echo("\n".join(lines) or "no file outside the project has changed since the pipeline read it")
    raise typer.Exit(1 if lines else 0)


weights = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Published weights: list them, fetch and verify their files."
)
app.add_typer(weights, name="weights")
Names = Annotated[list[str] | None, typer.Argument(help="Names of the list. [all]", metavar="NAME...")]


@weights.command("list", epilog="Example: dfd weights list")
def list_weights() -> None:
    """The table of published weights, and which of them are in the cache."""
    for name, entry in MANIFEST.items():
        state = "in the cache" if weights_path(name).is_file() else f"{entry.size / 1e6:.0f} MB"
        typer.echo(f"{name:30} {state:13} {entry.data}; {entry.licence}; {entry.url}")
    typer.echo(f"cache: {cache_folder()} (set DFD_HOME for another)")


@weights.command("fetch", epilog="Example: dfd weights fetch facenet-vggface2")
def fetch_weights(names: Names = None) -> None:
    """Download files that are not in the cache yet, and verify them."""
    for name in names or MANIFEST:
        typer.echo(f"{name}: {fetch(name)}")


@weights.command("verify", epilog="Example: dfd weights verify")
def verify_weights(names: Names = None) -> None:
    """Check the files of the cache against their published SHA-256, or that of their first use."""
    for name in names or [name for name in MANIFEST if weights_path(name).is_file()]:
        typer.echo(f"{name}: {verify(name)}")


def _write_faces(out: Path, decoder: Decoder, keys: Sequence[str], templates: torch.Tensor) -> None:
    """One image for each template, decoded a few at a time: there may be more than memory holds faces of."""
    names = _unique(keys)
    for part in templates.split(SHEET[0] * SHEET[1]):
        for image in decode_templates(decoder, part):
            pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
            with replacing(out / f"{next(names)}.png") as temporary:
                Image.fromarray(pixels).save(temporary)


def _write_sheets(out: Path, decoder: Decoder, keys: Sequence[str], templates: torch.Tensor) -> None:
    """Images `sheet-0001.png` and on, of the faces in the file's order, decoded a sheet at a time."""
    rows, columns = SHEET
    for start in range(0, len(keys), rows * columns):
        faces = list(decode_templates(decoder, templates[start : start + rows * columns]))
        names = list(keys[start : start + rows * columns])
        width = min(columns, len(faces))
        missing = -len(faces) % width
        faces, names = faces + missing * [None], names + missing * [None]
        cuts = [slice(first, first + width) for first in range(0, len(faces), width)]
        number = start // (rows * columns) + 1
        image_grid(
            out / f"sheet-{number:04d}.png",
            [("", faces[cut]) for cut in cuts],
            None,
            title=None,
            captions=[names[cut] for cut in cuts],
        )


def _shown(value: object) -> str:
    return "nothing" if value is None else json.dumps(value)


def _fitting(project: Workspace, file: TemplatesFile) -> str:
    """The first decoder at hand for a file's templates: of their dimension, and of their recognizer where that is said."""
    headers = {name: read_config(project.decoder_file(name)) for name in project.decoders_at_hand()}
    dimension = file.template.shape[1]
    fitting = [name for name, header in headers.items() if header.get("dimension") == dimension]
    if not fitting:
        there = ", ".join(f"{name} ({header.get('dimension')})" for name, header in headers.items())
        raise DfdError(
            f"{file.path}: templates of shape {file.template.shape}; none of the decoders at hand takes such ({there}); "
            "name another with --variant"
        )
    same = [name for name in fitting if headers[name].get("weights_sha256") == file.weights_sha256]
    return (same or fitting)[0]


def _paired(path: Path, keys: list[str], faces: FaceStore) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Which of the templates' keys (N,) are of which rows of `faces`, (M,) each, and the keys of none. Raises DfdError where
    all are."""
    places = match(keys, faces.faces["key"].tolist())
    if (places < 0).all():
        raise DfdError(
            f"{path}: none of {len(keys)} keys is a photo's with a face: keys are like {keys[0]}, "
            f"photos like {faces.faces['key'].iloc[0]}"
        )
    unmatched = [key for key, place in zip(keys, places, strict=True) if place < 0]
    return np.flatnonzero(places >= 0), places[places >= 0], unmatched


@contextlib.contextmanager
def _faces(photos: list[str], params: Params, left_out: dict[str, str] | None = None) -> Iterator[FaceStore]:
    """The faces of the photos, found as the pipeline finds them; says which photos have none, and why in `left_out`.

    They lie in a file without a name, which is gone with the process, however that ends: nobody's photos stay behind.
    """
    settings, name = params.faces, ", ".join(photos)
    detector = Detector(tuple(settings.detection_sides), settings.min_face, pick_device(params.device))
    census = Census({"test": 1.0}, params.seed)
    with tempfile.TemporaryFile() as nameless, h5py.File(nameless, "w") as file:
        try:
            index = find_faces(_read(photos), name, file, detector, settings, census)
        except OSError as error:
            raise DfdError(f"{tempfile.gettempdir()}: could not be written ({error}); free disk space there") from error
        for photo in index[index["row"].isna()].itertuples():
            typer.echo(f"{photo.key}: left out ({photo.reason})", err=True)
            if left_out is not None:
                left_out[photo.key] = photo.reason
        yield FaceStore(name, (file, index))


def _read(photos: list[str]) -> Iterator[tuple[str, bytes]]:
    """Every photo named, as (key, bytes): files, all files below folders, and what globs match, each path once."""
    paths: dict[str, Path] = {}
    for photo in photos:
        named = [photo] if os.path.exists(photo) else sorted(glob.glob(photo, recursive=True))
        if not named:
            raise DfdError(f"{photo}: no such photo or folder, and no glob that matches one")
        paths |= {os.path.abspath(path): Path(path) for path in named}
    for key, path in zip(_keys(list(paths)), paths.values(), strict=True):
        try:
            if path.is_dir() or is_archive(path):
                yield from ((f"{key}/{name}", data) for name, data in read_photos(path))
            else:
                yield key, path.read_bytes()
        except OSError as error:
            raise DfdError(f"{path}: cannot be read ({error.strerror}); fix its permissions") from error


def _keys(paths: list[str]) -> list[str]:
    """Of each path its name, with as many of its folders as tell it from the others; links are not resolved: a photo keeps
    the name that it was given."""
    # Asked for by name, what is hidden counts: without its dot no reader of archives passes it over.
    parts = [[part.lstrip(".") or "photos" for part in Path(path).parts[1:]] or ["photos"] for path in paths]
    ends = Counter(end for folders in parts for end in _ends(folders))
    return ["/".join(next((end for end in _ends(folders) if ends[end] == 1), folders[-1:])) for folders in parts]


def _ends(parts: list[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(parts[-count:]) for count in range(1, len(parts) + 1))


def _unique(keys: Iterable[str]) -> Iterator[str]:
    """A name for a file for each key, whatever it holds: no folder, nothing hidden, none twice."""
    taken: set[str] = set()
    for key in (shortened(re.sub(r"[^\w.#-]+", "_", key).lstrip(".") or "_", NAME) for key in keys):
        name, copy = key, 1
        while name in taken:
            copy += 1
            name = f"{key}#{copy}"
        taken.add(name)
        yield os.fsdecode(name.encode())  # as UTF-8 on every system, in ASCII's locale too


def main() -> None:
    """Run `dfd`; an error that its user can mend is one line and exit code 1."""
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a name that its encoding lacks ends no command
    try:
        app()
    except Exception as error:
        if (line := for_the_user(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
