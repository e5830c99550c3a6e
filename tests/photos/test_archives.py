"""Photos out of tar, zip and folder: the same from each, all accounted for, nothing extracted."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from dfd.core.errors import DfdError
from dfd.photos.archives import read_photos, write_photos

PHOTOS = {
    "s1/1.jpg": b"first",
    "s1/2.jpg": b"second",
    "José Ñandú/my photo 1.jpg": b"third",
    "王 芳/照片.png": b"fourth",
    "top.pgm": b"fifth" * 1000,
    "a/b/c/empty.jpg": b"",
}
HIDDEN = {".DS_Store": b"x", "s1/._1.jpg": b"x", "__MACOSX/s1/1.jpg": b"x", ".git/a.jpg": b"x"}


def as_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("s1")
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def as_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        folder = tarfile.TarInfo("s1")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def as_tgz(path: Path, files: dict[str, bytes]) -> Path:
    return as_tar(path, files, "w:gz")


@pytest.mark.parametrize("write", [as_folder, as_zip, as_tar, as_tgz])
def test_every_container_gives_the_same_photos(tmp_path, write):
    path = write(tmp_path / "photos", PHOTOS | HIDDEN)
    found = list(read_photos(path))
    assert len(found) == len(PHOTOS) and dict(found) == PHOTOS
    order = sorted(PHOTOS, key=lambda name: Path(name).parts) if write is as_folder else list(PHOTOS)
    assert [name for name, _ in found] == order


def test_written_photos_are_read_back(tmp_path):
    assert write_photos(tmp_path / "photos.tar", PHOTOS.items()) == len(PHOTOS)
    assert list(read_photos(tmp_path / "photos.tar")) == list(PHOTOS.items())


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("a.tar", "b.tar"):
        write_photos(tmp_path / name, PHOTOS.items())
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_failing_source_leaves_no_file(tmp_path):
    def photos():
        yield "s1/1.jpg", bytes(10_000)
        raise RuntimeError("the download broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        write_photos(tmp_path / "photos.tar", photos())
    assert list(tmp_path.iterdir()) == []

    write_photos(tmp_path / "photos.tar", PHOTOS.items())
    with pytest.raises(RuntimeError):
        write_photos(tmp_path / "photos.tar", photos())
    assert dict(read_photos(tmp_path / "photos.tar")) == PHOTOS  # the older file is still whole


@pytest.mark.parametrize("write", [as_tar, as_tgz, as_zip])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_truncated_archive_is_named(tmp_path, write, share):
    path = write(tmp_path / "photos.bin", {f"s{n}/{n}.jpg": os.urandom(3000) for n in range(9)})
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DfdError, match="photos.bin"):
        list(read_photos(path))


@pytest.mark.parametrize("data", [b"", b"<html>404 not found</html>" * 100, b"\x1f\x8b\x08\0" + bytes(30)])
def test_what_is_no_archive_is_named(tmp_path, data):
    path = tmp_path / "photos.tar"
    path.write_bytes(data)
    with pytest.raises(DfdError, match="photos.tar"):
        list(read_photos(path))
    with pytest.raises(DfdError, match="missing.tar"):
        list(read_photos(tmp_path / "missing.tar"))


@pytest.mark.parametrize("write", [as_tar, as_zip])
def test_members_that_point_outside_are_read_and_never_written(tmp_path, write):
    (tmp_path / "inner").mkdir()
    files = {"../evil.jpg": b"evil", f"{tmp_path}/absolute.jpg": b"absolute", "../../s1/../s2/1.jpg": b"two"}
    path = write(tmp_path / "inner" / "photos.bin", files)
    before = sorted(tmp_path.rglob("*"))
    assert [data for _, data in read_photos(path)] == [b"evil", b"absolute", b"two"]
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_a_tar_come_empty(tmp_path):
    path = tmp_path / "photos.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            link = tarfile.TarInfo(f"s1/{kind.decode()}.jpg")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
    assert [data for _, data in read_photos(path)] == [b"", b"", b""]


def test_links_to_nowhere_in_a_folder_come_empty(tmp_path):
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "1.jpg").symlink_to("nowhere.jpg")
    assert list(read_photos(tmp_path)) == [("s1/1.jpg", b"")]


def test_unreadable_files_of_a_folder_come_empty(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(path)

    as_folder(tmp_path, {"s1/1.jpg": b"x"})
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert list(read_photos(tmp_path)) == [("s1/1.jpg", b"")]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_one_damaged_zip_member_costs_no_other(tmp_path, method):
    path, body = tmp_path / "photos.zip", bytes(range(256)) * 40
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("s1/1.jpg", body)
        archive.writestr("s1/2.jpg", b"fine")
    data = bytearray(path.read_bytes())
    data[60:75] = b"\xff" * 15
    path.write_bytes(data)
    assert dict(read_photos(path)) == {"s1/1.jpg": b"", "s1/2.jpg": b"fine"}


def test_names_in_another_encoding_can_be_written_as_text(tmp_path):
    path = tmp_path / "photos.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("José/1.jpg"))
    assert list(read_photos(path)) == [("Jos\N{REPLACEMENT CHARACTER}/1.jpg", b"")]
