"""Published files, downloaded once into a cache outside the project: resumed where cut off, and checked by their hash."""

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from platformdirs import user_cache_path
from tqdm import tqdm

from dfd.core.artefacts import file_sha256
from dfd.core.errors import DfdError

TIMEOUT = 20  # seconds without an answer
CHUNK = 1 << 20  # bytes


def cache_folder() -> Path:
    """Where downloads are kept: the folder that the environment variable DFD_HOME names, else the platform's cache."""
    return Path(os.environ.get("DFD_HOME") or user_cache_path("deep-face-decoder")).expanduser()


def download(name: str, url: str, sha256: str | None = None) -> Path:
    """The published file `name`, from the cache or downloaded into it; `sha256` is checked where it is known.

    Raises DfdError, saying where to put the file by hand, where it cannot be downloaded, and where it has another hash.
    """
    path = cache_folder() / name
    if not path.is_file():
        try:
            _retrieve(url, path)
        except (OSError, http.client.HTTPException) as error:
            reason = " ".join(str(error).split())
            raise DfdError(
                f"{path}: could not be downloaded ({reason}); get it from {url} and put it there by hand"
            ) from error
    if sha256 and (digest := file_sha256(path)) != sha256:
        raise DfdError(
            f"{path}: its SHA-256 {digest} is not the published one, {sha256}; delete the file and fetch it again"
        )
    return path


def _retrieve(url: str, path: Path) -> None:
    """Download into `<file>.part`, going on where an earlier download was cut off."""
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send: the part is whole, or another file's
            part.unlink(missing_ok=True)
        raise
    with answer:
        resumed = answer.status == 206
        start = start if resumed else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        progress = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=path.name, disable=None)
        with open(part, "ab" if resumed else "wb") as file, progress:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                progress.update(len(chunk))
    if total is not None and part.stat().st_size != total:
        raise OSError(f"cut off after {part.stat().st_size} of {total} bytes; once more, and it goes on from there")
    os.replace(part, path)
