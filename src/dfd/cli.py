"""The command line `dfd`: what `make repro` trained, applied to one's own photos and templates.

It runs in the project's folder, with the params.yaml that the pipeline ran with.
"""

import glob
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image

from dfd.core.artefacts import replacing
from dfd.core.devices import pick_device
from dfd.core.downloads import cache_folder
from dfd.core.errors import DfdError
from dfd.decoder.adapted import adapted, space_of
from dfd.decoder.registry import decode as decode_templates
from dfd.decoder.registry import load_decoder
from dfd.faces.archives import is_archive, read_photos, write_photos
from dfd.faces.detection import Detector
from dfd.faces.preprocessing import preprocess
from dfd.faces.store import MIRROR, FaceStore
from dfd.params import Params, load_params, patched
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.recognizers.registry import load_recognizer
from dfd.rendering.grids import image_grid
from dfd.templates.adapters import check_pairs, fit_adapter, load_adapter, save_adapter
from dfd.templates.embedding import embed_views
from dfd.templates.files import WRITERS, by_suffix, read_keyed_templates, read_templates, write_templates_file
from dfd.templates.lookup import few, match, people_of
from dfd.weights.downloads import fetch, verify, weights_path
from dfd.weights.manifest import MANIFEST

# Where the pipeline leaves what is used here (dvc.yaml).
RECOGNIZER = "data/recognizers/{}.safetensors"
DECODER = "data/decoders/{}.safetensors"

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

Photos = Annotated[list[str], typer.Argument(help="Photos, folders of photos, or globs in quotes.", metavar="PHOTO...")]
Folder = Annotated[Path, typer.Option("--out", help="The folder that the images are written into.")]


@app.callback()
def about() -> None:
    """Deep Face Decoder: faces from templates. Run `make repro` first, and this in the project's folder."""


@app.command(epilog="Example: dfd reconstruct anna.jpg 'holiday/*.jpg' --variant vgg-resnet --out reconstructions")
def reconstruct(
    photos: Photos,
    out: Folder,
    variant: Annotated[list[str] | None, typer.Option(help="A variant of params.yaml; give it again for more. [all]")] = None,
) -> None:
    """Photo to template to face: writes, for each photo, its face beside its reconstructions."""
    params = load_params()
    names = variant or list(params.variants)
    variants = {name: params.entry("variants", name) for name in names}
    device = pick_device(params.device)
    decoders = {name: load_decoder(DECODER.format(name), device) for name in variants}
    templated = dict.fromkeys(variant.template for variant in variants.values())
    recognizers = {name: _recognizer(name, device, params.faces.geometry) for name in templated}
    with tempfile.TemporaryDirectory() as folder:
        faces = _faces(photos, params, Path(folder))
        rows = np.arange(len(faces))
        templates = {
            name: embed_views(module, faces, rows) for name, module in recognizers.items()
        }
        images = [faces.views(rows, params.decoder.size)]
        images += [decode_templates(decoders[name], templates[settings.template]) for name, settings in variants.items()]
    for name, *row in zip(_unique(faces.faces["key"]), *images, strict=True):
        image_grid(out / f"{name}.png", [("", row)], ["face", *names], title=None, cell=max(112, params.decoder.size))
    typer.echo(f"wrote {len(rows)} images to {out}")


@app.command(epilog="Example: dfd embed holiday/ --recognizer resnet --out templates.npz")
def embed(
    photos: Photos,
    out: Annotated[Path, typer.Option(help="A file .npz, .h5 or .parquet for `key` (N,) and `template` (N, D).")],
    recognizer: Annotated[str, typer.Option(help="A recognizer of params.yaml.")],
) -> None:
    """Photo to template: writes the templates of the photos' faces."""
    by_suffix(out, WRITERS)  # before the work, not after it
    params = load_params()
    params.entry("recognizers", recognizer)
    module = _recognizer(recognizer, pick_device(params.device), params.faces.geometry)
    with tempfile.TemporaryDirectory() as folder:
        faces = _faces(photos, params, Path(folder))
        templates = embed_views(module, faces, np.arange(len(faces))).numpy()
    write_templates_file(out, faces.faces["key"].tolist(), templates)
    typer.echo(f"wrote {len(templates)} templates, {templates.shape[1]}-d, to {out}")


@app.command(epilog="Example: dfd decode templates.npz --variant vgg-resnet --out faces")
def decode(
    templates: Annotated[Path, typer.Argument(help=".npy, .npz, .h5 or .parquet: `template` (N, D) or one vector (D,), and `key` if any.")],
    out: Folder,
    variant: Annotated[
        str | None,
        typer.Option(help="A decoder: of variants or import_decoder in params.yaml. [the one that the adapter is for]"),
    ] = None,
    adapter: Annotated[Path | None, typer.Option(help="A file of `dfd adapt`, for another system's templates.")] = None,
) -> None:
    """Template to face: writes one image per template."""
    params = load_params()
    device = pick_device(params.device)
    linear = None if adapter is None else load_adapter(adapter, device)
    variant = variant if variant or linear is None else linear.config["to"].get("decoder")
    if variant is None:
        raise DfdError("name a decoder with --variant")
    params.entry("decoders", variant)
    keys, vectors = read_templates(templates)
    decoder, name = load_decoder(DECODER.format(variant), device), variant
    if linear is not None:
        decoder, name = adapted(decoder, linear), f"{variant} behind {adapter}"
    dimension = decoder.dimension
    if vectors.shape[1] != dimension:
        raise DfdError(f"{templates}: templates of shape {vectors.shape}; {name} decodes (N, {dimension})")
    keys = [str(number) for number in range(len(vectors))] if keys is None else keys
    for name, image in zip(_unique(keys), decode_templates(decoder, torch.from_numpy(vectors))):
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        with replacing(out / f"{name}.png") as temporary:
            Image.fromarray(pixels).save(temporary)
    typer.echo(f"wrote {len(vectors)} faces to {out}")


@app.command(epilog="Example: dfd adapt photos/ theirs.npz --decoder resnet-identity --out theirs.safetensors")
def adapt(
    photos: Photos,
    templates: Annotated[
        Path, typer.Argument(help=".npz, .h5 or .parquet: another system's `template` (N, D) of the photos `key` (N,).")
    ],
    decoder: Annotated[str, typer.Option(help="A decoder: of variants or import_decoder in params.yaml.")],
    out: Annotated[Path, typer.Option(help="A file .safetensors, for `dfd decode --adapter`.")],
) -> None:
    """Another system's templates of known photos to an adapter, which opens all its templates to a decoder.

    A template is of the photo that has its key, as `dfd embed` writes them, or its file name where no other has it. A
    photo's person is its folder; where all photos lie in one folder, each is a person.
    """
    if out.suffix != ".safetensors":
        raise DfdError(f"{out}: adapters are kept in .safetensors files")
    params = load_params()
    name = params.entry("decoders", decoder)
    keys, vectors = read_keyed_templates(templates)
    device = pick_device(params.device)
    module = load_decoder(DECODER.format(decoder), device)
    recognizer = load_recognizer(RECOGNIZER.format(name), device, params.faces.geometry)
    if not recognizer.embeds_images:
        raise DfdError(f"recognizer {name}: {NO_IMAGES}; name the decoder of another")
    with tempfile.TemporaryDirectory() as folder:
        faces = _faces(photos, params, Path(folder))
        places = match(keys, faces.faces["key"].tolist())
        theirs, rows = np.flatnonzero(places >= 0), places[places >= 0]
        photo_keys = faces.faces["key"].iloc[rows].tolist()
        if not len(rows):
            raise DfdError(
                f"{templates}: none of {len(keys)} keys is a photo's with a face: keys are like {keys[0]}, "
                f"photos like {faces.faces['key'].iloc[0]}"
            )
        if unmatched := [key for key, place in zip(keys, places, strict=True) if place < 0]:
            typer.echo(f"{templates}: left out {len(unmatched)} of no face among the photos: {few(unmatched)}", err=True)
        source, people = torch.from_numpy(vectors[theirs]), people_of(photo_keys)
        check_pairs(source, people)  # before the work, not after it
        target, mirrored = embed_views(recognizer, faces, rows), embed_views(recognizer, faces, rows, MIRROR)
    adapter = fit_adapter(source, target, people, space_of(module), mirrored, params.seed)
    save_adapter(
        out,
        adapter,
        source={"name": templates.stem},
        target={"decoder": decoder, "recognizer": name, "weights_sha256": module.config.get("weights_sha256")},
    )
    typer.echo(
        f"wrote {out}: from templates of {adapter.dimension} numbers to those of {decoder}, fitted on {len(rows)} pairs "
        f"of {adapter.config['n_people']} people; cosine to the true ones of people it was not fitted on: "
        f"{adapter.config['cosine']:.3f}, {adapter.config['cosine_whitened']:.3f} as the decoder sees them"
    )


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
        with replacing("params.yaml") as temporary:
            temporary.write_text(text, encoding="utf-8")
    typer.echo(f"{len(changes)} changes" + (" written to params.yaml" if apply else "; --apply writes them to params.yaml"))


weights = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Published weights: list them, fetch and verify their files.")
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


def _shown(value: object) -> str:
    return "nothing" if value is None else json.dumps(value)


def _recognizer(name: str, device: torch.device, geometry: str) -> Recognizer:
    """A recognizer that can embed photos, placed in faces of this geometry."""
    module = load_recognizer(RECOGNIZER.format(name), device, geometry)
    if not module.embeds_images:
        raise DfdError(f"recognizer {name}: {NO_IMAGES}; decode its templates with `dfd decode`")
    return module


def _faces(photos: list[str], params: Params, folder: Path) -> FaceStore:
    """The faces of the photos, found as the pipeline finds them; says which photos have none."""
    write_photos(folder / "photos.tar", _read(photos))
    faces = params.faces
    index = preprocess(
        folder / "photos.tar",
        folder / "faces.h5",
        detector=Detector(tuple(faces.detection_sides), faces.min_face, pick_device(params.device)),
        shares={"test": 1.0},
        seed=params.seed,
        **faces.model_dump(exclude={"detection_sides", "min_face"}),
    )
    for photo in index[index["row"].isna()].itertuples():
        typer.echo(f"{photo.key}: left out ({photo.reason})", err=True)
    return FaceStore(folder / "faces.h5")


def _read(photos: list[str]) -> Iterator[tuple[str, bytes]]:
    """Every photo named, as (path, bytes): files, all files below folders, and what globs match."""
    for photo in photos:
        paths = [Path(photo)] if Path(photo).exists() else [Path(path) for path in sorted(glob.glob(photo, recursive=True))]
        if not paths:
            raise DfdError(f"{photo}: no such photo or folder, and no glob that matches one")
        for path in paths:
            # Asked for by name, what is hidden counts: without its dot no reader of archives passes it over.
            key = path.resolve().name.lstrip(".") or "photos"
            if path.is_dir() or is_archive(path):
                yield from ((f"{key}/{name}", data) for name, data in read_photos(path))
                continue
            try:
                yield key, path.read_bytes()
            except OSError as error:
                raise DfdError(f"{path}: cannot be read ({error.strerror}); fix its permissions") from error


def _unique(keys: Iterable[str]) -> Iterator[str]:
    """A name for a file for each key, whatever it holds: no folder, nothing hidden, none twice."""
    taken: set[str] = set()
    for key in (re.sub(r"[^\w.#-]+", "_", key).lstrip(".") or "_" for key in keys):
        name, copy = key, 1
        while name in taken:
            copy += 1
            name = f"{key}#{copy}"
        taken.add(name)
        yield name


def main() -> None:
    """Run `dfd`; an error that its user can mend is one line and exit code 1."""
    try:
        app()
    except DfdError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
