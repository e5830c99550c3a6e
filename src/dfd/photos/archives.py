"""Photos in a tar, a zip or a folder, read one at a time and never extracted."""

import io
import os
import posixpath
import stat
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from dfd.core.artefacts import replacing
from dfd.core.errors import DfdError
from dfd.core.sources import files_below

COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")  # the first bytes of a tar's wrapping: gzip, bzip2, xz
ZIPPED = (b"PK\3\4", b"PK\5\6")  # of a zip, and of one without members
ENCRYPTED = 1  # bit of a zip member's flags
REASON = "DFD.reason"  # header of a member in our own tars: why it has no bytes


class Unread(bytes):
    """No bytes, in place of a photo's that could not be read; `reason` is a kebab-case word for the index.

    `link` (to nothing in the archive or on the disk), `unreadable` (no permission, a pipe, a device), `encrypted`,
    `checksum` (the bytes are not those that were packed), `damaged`, `unsupported-format` (of compression).
    """

    def __new__(cls, reason: str):
        self = super().__new__(cls)
        self.reason = reason
        return self


def read_photos(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """Every file in an archive or a folder as (name, bytes), in the archive's order (a folder: sorted).

    Folders and hidden files (a name part starting with a dot, `__MACOSX`) are no photos. Links are followed, in an
    archive to its own members, which come last; what cannot be read comes as `Unread`. Raises DfdError for a missing or
    damaged archive.
    """
    path = Path(path)
    if not os.path.exists(path):  # False also for a name that no file can have
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
    if not os.path.isfile(path):
        return False
    head = _head(path)
    return _heads_tar(head) or head.startswith(ZIPPED) or (head.startswith(COMPRESSED) and tarfile.is_tarfile(path))


def _head(path: str | Path) -> bytes:
    """The first bytes, which alone say what an archive is: its end may be a member's, or have a zip appended to it."""
    with open(path, "rb") as file:
        return file.read(tarfile.BLOCKSIZE)


def _heads_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")  # it has a checksum
    except tarfile.HeaderError:
        return False
    return True


def _hidden(part: str) -> bool:
    return part == "__MACOSX" or (part.startswith(".") and part != "..")


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in files_below(path):
            yield file.relative_to(path).as_posix(), _file(file)
        return
    head = _head(path)
    if head.startswith(ZIPPED) and not _heads_tar(head):
        yield from _zip_members(path)
    else:
        yield from _tar_members(path, "r|" if _heads_tar(head) else "r|*")


def _file(file: Path) -> bytes:
    try:
        if file.is_file():
            return file.read_bytes()
        return Unread("link" if file.is_symlink() else "unreadable")
    except OSError:
        return Unread("unreadable")


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        for member in archive.infolist():
            if stat.S_ISLNK(member.external_attr >> 16):
                target = _target(member.filename, _zip_member(archive, member).decode("utf-8", "surrogateescape"))
                yield member.filename, _zip_member(archive, members[target]) if target in members else Unread("link")
            elif not member.is_dir():
                yield member.filename, _zip_member(archive, member)


def _zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.flag_bits & ENCRYPTED:
        return Unread("encrypted")
    try:
        return archive.read(member)
    except NotImplementedError:
        return Unread("unsupported-format")
    except zipfile.BadZipFile as error:
        return Unread("checksum" if "CRC" in str(error) else "damaged")
    except Exception:  # noqa: BLE001 (the decompressors raise whatever they stumble over)
        return Unread("damaged")


def _target(link: str, target: str) -> str:
    """The member that a symbolic link names, relative to its own folder."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(link), target))


def _tar_members(path: Path, mode: str) -> Iterator[tuple[str, bytes]]:
    """A tar is read forwards only, so its links come after everything else, from a second reading."""
    links: dict[str, str] = {}
    with tarfile.open(path, mode) as archive:
        for member in archive:
            name = str(PurePosixPath(member.name))
            if member.issym():
                links[name] = _target(name, member.linkname)
            elif member.islnk():
                links[name] = str(PurePosixPath(member.linkname))
            elif not member.isdir():
                yield name, _tar_member(archive, member)
    if links:
        yield from _followed(path, mode, links)


def _followed(path: Path, mode: str, links: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """The files that a tar's links stand for, also those in a folder that one stands for."""
    names = defaultdict(list)  # of links, by where they end
    for link, target in links.items():
        steps = 0
        while target in links and steps < len(links):  # or they go round in a circle
            target, steps = links[target], steps + 1
        names[target].append(link)
    followed = set()
    with tarfile.open(path, mode) as archive:
        for member in archive:
            name = str(PurePosixPath(member.name))
            if member.isdir() or name in links:
                continue
            places = [(place, link) for place in (name, *_folders(name)) for link in names.get(place, ())]
            places = [(place, link) for place, link in places if place not in _folders(link)]  # no folder inside itself
            data = _tar_member(archive, member) if places else b""
            for place, link in places:
                followed.add(link)
                yield link + name.removeprefix(place), data
    yield from ((link, Unread("link")) for link in links if link not in followed)


def _folders(name: str) -> list[str]:
    return [str(folder) for folder in PurePosixPath(name).parents]


def _tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if REASON in member.pax_headers:
        return Unread(member.pax_headers[REASON])
    return archive.extractfile(member).read() if member.isfile() else Unread("unreadable")


def write_photos(path: str | Path, photos: Iterable[tuple[str, bytes]]) -> int:
    """Write (name, bytes) pairs as a tar without times or owners, and return how many."""
    count = 0
    with replacing(path) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in photos:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.pax_headers = {REASON: data.reason} if isinstance(data, Unread) else {}
            archive.addfile(member, io.BytesIO(data))
            count += 1
    return count
