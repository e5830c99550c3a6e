"""Downloads into the user's cache: resumed, verified, pinned on first use, and never used unverified."""

import http.client
import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import pooch
from tqdm import tqdm

from dfd.core.artefacts import file_sha256, replacing
from dfd.core.errors import DfdError
from dfd.weights.manifest import MANIFEST, Weights

TIMEOUT = 20  # seconds without an answer
CHUNK = 1 << 20


def cache_folder() -> Path:
    """Where downloads live: the environment variable DFD_HOME, or the platform's cache folder."""
    return Path(os.environ.get("DFD_HOME") or pooch.os_cache("deep-face-decoder"))


def weights_path(name: str) -> Path:
    """Where a file of the manifest is kept, whether or not it is there. Raises DfdError for an unknown name."""
    return cache_folder() / _entry(name).file


def fetch(name: str) -> Path:
    """The verified file of a manifest entry, downloaded if it is not there yet.

    Raises DfdError where it cannot be had (naming the file, the URL and where to put it by hand), or is another file
    than the published or the first one.
    """
    entry, path = _entry(name), weights_path(name)
    if not path.is_file():
        _download(entry, path)
    verify(name)
    return path


def verify(name: str) -> str:
    """The SHA-256 of a file in the cache, checked against the published one, or against that of its first use.

    Raises DfdError where the file is missing or its digest is another.
    """
    entry, path = _entry(name), weights_path(name)
    if not path.is_file():
        raise DfdError(f"{path}: not downloaded; run `dfd weights fetch {name}`")
    found, pins = file_sha256(path), _pins()
    expected = entry.sha256 or pins.get(name)
    if expected is None:
        with replacing(_pin_file()) as temporary:
            temporary.write_text(json.dumps(pins | {name: found}, indent=2, sort_keys=True) + "\n")
    elif found != expected:
        known = "published" if entry.sha256 else "of its first use"
        raise DfdError(f"{path}: its SHA-256 {found} is not the one {known}, {expected}; delete the file and fetch it again")
    return found


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
        return json.loads(_pin_file().read_text())
    except ValueError as error:
        raise DfdError(f"{_pin_file()}: damaged ({error}); delete it to pin the files anew") from error


def _download(entry: Weights, path: Path) -> None:
    """Download into `<file>.part`, going on where an earlier download was cut off."""
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(entry.url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            resumed = answer.status == 206
            length = answer.headers.get("Content-Length")
            total = int(length) + (start if resumed else 0) if length else None
            progress = tqdm(total=total, initial=start if resumed else 0, unit="B", unit_scale=True, desc=path.name, disable=None)
            with open(part, "ab" if resumed else "wb") as file, progress:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    progress.update(len(chunk))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send: the part is whole, or another file's
            part.unlink(missing_ok=True)
        raise _unreachable(entry, path, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(entry, path, error) from error
    if total is not None and part.stat().st_size != total:
        raise _unreachable(entry, path, f"cut off after {part.stat().st_size} of {total} bytes; fetch again to go on")
    os.replace(part, path)


def _unreachable(entry: Weights, path: Path, reason: object) -> DfdError:
    return DfdError(f"{path.name} could not be downloaded ({reason}); put {entry.url} into {path.parent} by hand")
