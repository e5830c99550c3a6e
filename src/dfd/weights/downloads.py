"""The manifest's files in the user's cache: downloaded, verified, pinned on first use, and never used unverified."""

import json
from pathlib import Path

from dfd.core.artefacts import file_sha256, write_text
from dfd.core.downloads import cache_folder, download
from dfd.core.errors import DfdError
from dfd.weights.manifest import MANIFEST, Weights


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


def verify(name: str) -> str:
    """The SHA-256 of a file in the cache, checked against the published one, or against that of its first use.

    Raises DfdError where the file is missing or its digest is another.
    """
    entry, path = _entry(name), weights_path(name)
    if not path.is_file():
        raise DfdError(f"{path}: not downloaded; run `dfd weights fetch {name}`")
    digest, pins = file_sha256(path), _pins()
    expected = entry.sha256 or pins.get(name)
    if expected is None:
        write_text(_pin_file(), json.dumps(pins | {name: digest}, indent=2, sort_keys=True) + "\n")
    elif digest != expected:
        known = "published" if entry.sha256 else "of its first use"
        raise DfdError(
            f"{path}: its SHA-256 {digest} is not the one {known}, {expected}; delete the file and fetch it again"
        )
    return digest


def _entry(name: str) -> Weights:
    if name not in MANIFEST:
        raise DfdError(f"no weights are called {name}; there are {', '.join(MANIFEST)}")
    return MANIFEST[name]


def _pin_file() -> Path:
    return cache_folder() / "sha256.json"


def _pins() -> dict[str, str]:
    if not _pin_file().is_file():
        return {}
    try:
        return json.loads(_pin_file().read_text(encoding="utf-8"))
    except ValueError as error:
        raise DfdError(f"{_pin_file()}: damaged ({error}); delete it to pin the files anew") from error
