"""The manifest's files in the user's cache: downloaded, verified, pinned by their first import, never used unverified."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from dfd.core.artefacts import file_sha256, read_json, write_text
from dfd.core.downloads import cache_folder, download
from dfd.core.errors import DfdError
from dfd.weights.manifest import MANIFEST, Weights

TOLERANCE = 0.05  # of the sizes in the manifest, which are rounded
# suffix -> how its files begin: HDF5, a zip or a pickle of PyTorch's
MAGIC = {".h5": (b"\x89HDF\r\n\x1a\n",), **dict.fromkeys((".pth", ".pt", ".ckpt"), (b"PK\x03\x04", b"\x80"))}


def weights_path(name: str) -> Path:
    """Where a file of the manifest is kept, whether or not it is there. Raises DfdError for an unknown name."""
    return cache_folder() / _entry(name).file


def fetch(name: str) -> Path:
    """The verified file of a manifest entry, downloaded if it is not there yet.

    Raises DfdError where it cannot be had (naming the file, the URL and where to put it by hand), or is another file
    than the published or the first one.
    """
    entry = _entry(name)
    path = download(entry.file, entry.url)
    verify(name)
    return path


@contextlib.contextmanager
def importing(weights: str) -> Iterator[str]:
    """The path to import weights from: of a name in the manifest its file, fetched; anything else is a path already.

    A file whose SHA-256 nobody published is pinned where the import succeeds, so that no damaged one ever is. Raises
    DfdError as `fetch`.
    """
    if weights not in MANIFEST:
        yield weights
        return
    yield str(fetch(weights))
    if MANIFEST[weights].sha256 is None:
        pins = _pins() | {weights: verify(weights)}
        write_text(_pin_file(), json.dumps(pins, indent=2, sort_keys=True) + "\n")


def verify(name: str) -> str:
    """The SHA-256 of a file in the cache, checked against the published one, or against that of its first import.

    Raises DfdError where the file is missing, its digest is another, or it cannot be what was published: a page in its
    place, a part of it.
    """
    entry, path = _entry(name), weights_path(name)
    if not path.is_file():
        raise DfdError(f"{path}: not downloaded; run `dfd weights fetch {name}`")
    again = f"delete the file, and fetch it again from {entry.url}"
    size, kinds = path.stat().st_size, MAGIC.get(path.suffix, (b"",))
    if abs(size - entry.size) > TOLERANCE * entry.size:
        raise DfdError(f"{path}: damaged, {size:,} bytes where about {entry.size:,} were published; {again}")
    with open(path, "rb") as file:
        if not file.read(max(map(len, kinds))).startswith(kinds):
            raise DfdError(f"{path}: no {path.suffix} file, whatever its name says; {again}")
    digest, pin = file_sha256(path), _pins().get(name)
    if entry.sha256 and digest != entry.sha256:
        raise DfdError(f"{path}: its SHA-256 {digest} is not the one published, {entry.sha256}; {again}")
    if not entry.sha256 and pin and digest != pin:
        raise DfdError(
            f"{path}: its SHA-256 {digest} is not the one of its first use, {pin}; {again}; or, if you trust this one more, "
            f"delete the line {name} in {_pin_file()}"
        )
    return digest


def _entry(name: str) -> Weights:
    if name not in MANIFEST:
        raise DfdError(f"no weights are called {name}; there are {', '.join(MANIFEST)}")
    return MANIFEST[name]


def _pin_file() -> Path:
    return cache_folder() / "sha256.json"


def _pins() -> dict[str, str]:
    return read_json(_pin_file()) if _pin_file().is_file() else {}
