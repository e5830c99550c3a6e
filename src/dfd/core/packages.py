"""Data files that ship inside installed packages; the packages themselves are never imported."""

from importlib import metadata
from pathlib import Path

from dfd.core.errors import DfdError


def package_file(package: str, name: str) -> Path:
    """The path of the file `name` (relative to site-packages) of an installed package. Raises DfdError if absent."""
    try:
        path = Path(str(metadata.distribution(package).locate_file(name)))
    except metadata.PackageNotFoundError:
        raise DfdError(f"the package {package} is not installed; run `make setup`") from None
    if not path.exists():
        raise DfdError(f"{path}: missing from the package {package}; reinstall it")
    return path
