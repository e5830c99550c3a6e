"""Photos in a tar, a zip or a folder, read one at a time and never extracted."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError


def read_photos(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """Every file in an archive or a folder as (name, bytes), in the archive's order (a folder: sorted).

    Folders and hidden files (a name part starting with a dot, `__MACOSX`) are no photos; a link or an
    unreadable member comes as b"". Raises DfdError for a missing or damaged archive.
    """
    path = Path(path)
    if not path.exists():
        raise DfdError(f"{path}: no such file or folder of photos")
    try:
        for name, data in _members(path):
            if not any(_hidden(part) for part in PurePosixPath(name).parts):
                # Names in another encoding than UTF-8 could not be written to the index as they are.
                yield name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), data
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DfdError(f"{path}: damaged or not an archive of photos ({error}); fetch it again") from error


def is_archive(path: str | Path) -> bool:
    """Whether a file is one that `read_photos` reads."""
    return Path(path).is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


def _hidden(part: str) -> bool:
    return part == "__MACOSX" or (part.startswith(".") and part != "..")


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if not file.is_dir():
                yield file.relative_to(path).as_posix(), _file(file)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    yield member.filename, _zip_member(archive, member)
    else:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                if not member.isdir():
                    file = archive.extractfile(member) if member.isfile() else None
                    yield str(PurePosixPath(member.name)), file.read() if file else b""


def _file(file: Path) -> bytes:
    try:
        return file.read_bytes() if file.is_file() else b""
    except PermissionError:
        return b""


def _zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError):
        # a wrong checksum, damage, a password, an exotic compression
        return b""


def write_photos(path: str | Path, photos: Iterable[tuple[str, bytes]]) -> int:
    """Write (name, bytes) pairs as a tar without times or owners, and return how many."""
    count = 0
    with replacing(path) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in photos:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
            count += 1
    return count
