"""Published files, downloaded once into a cache outside the project and checked by their hash."""

import os
from pathlib import Path

import pooch

from dfd.core.errors import DfdError


def cache_folder() -> Path:
    """Where downloads are kept: the folder that the environment variable DFD_HOME names, else the platform's cache."""
    return Path(os.environ.get("DFD_HOME") or pooch.os_cache("deep-face-decoder")).expanduser()


def download(name: str, url: str, sha256: str) -> Path:
    """The published file `name`, from the cache or downloaded into it. A cached file with another hash is replaced.

    Raises DfdError, saying where to put the file by hand, where it cannot be downloaded or has another hash.
    """
    path = cache_folder() / name
    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", name, path.parent, progressbar=True))
    except (OSError, ValueError) as error:  # requests' own errors are OSErrors; another hash is a ValueError
        raise DfdError(
            f"{path}: could not be downloaded ({' '.join(str(error).split())}); "
            f"get it from {url} (SHA-256 {sha256}) and put it there by hand"
        ) from error
