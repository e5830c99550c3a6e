"""Photos out of tar, zip and folder: the same from each, all accounted for, nothing extracted."""

import io
import os
import pickle
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from dfd.core.errors import DfdError
from dfd.photos.archives import Unread, is_archive, read_photos, write_photos

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
        file = path / os.fsdecode(name.encode())  # its bytes are UTF-8 in every locale
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
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


# What an archive is, its first bytes say


def stranger() -> bytes:
    """A zip with a photo of somebody else."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("Stranger/stranger.jpg", b"stranger")
    return data.getvalue()


@pytest.mark.parametrize("write", [as_folder, as_zip, as_tar, as_tgz])
@pytest.mark.parametrize("last", [stranger(), b"\xff\xd8\xff a photo" + stranger()])
def test_a_zip_in_an_archive_is_a_file_like_others(tmp_path, write, last):
    files = {"s1/1.jpg": b"first", "s1/z.zip": last}
    assert dict(read_photos(write(tmp_path / "photos", files))) == files
    assert is_archive(tmp_path / "photos") == (write is not as_folder)


def test_our_own_tar_is_a_tar_whatever_its_first_photo_is_called(tmp_path):
    for name in ("PK\3\4.jpg", "BZh91AY&SY.jpg", "\x1f\x8b\x08.jpg"):
        write_photos(tmp_path / "photos.tar", [(name, b"x" * 600), ("last.zip", stranger())])
        assert [found for found, _ in read_photos(tmp_path / "photos.tar")] == [name, "last.zip"]


@pytest.mark.parametrize("data", [b"\xff\xd8\xff" + bytes(2000) + stranger(), bytes(2000), b"", b"\x1f\x8b no gzip"])
def test_what_only_ends_as_an_archive_is_none(tmp_path, data):
    (tmp_path / "photo.jpg").write_bytes(data)
    assert not is_archive(tmp_path / "photo.jpg") and not is_archive(tmp_path / "nowhere.zip")


# Links


def linked_tar(path: Path, links: dict[str, tuple[bytes, str]], mode: str = "w") -> Path:
    """A tar with three photos, its links first."""
    with tarfile.open(path, mode) as archive:
        for name, (kind, target) in links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            archive.addfile(link)
        for name in ("anna/1.jpg", "anna/2.jpg", "ben/1.jpg"):
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return path


def reasons(path: Path) -> dict[str, bytes | str]:
    return {name: data.reason if isinstance(data, Unread) else data for name, data in read_photos(path)}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_links_in_a_tar_are_what_they_stand_for(tmp_path, mode):
    symbolic, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    links = {
        "c/soft.jpg": (symbolic, "../anna/1.jpg"),
        "c/again.jpg": (symbolic, "soft.jpg"),
        "c/hard.jpg": (hard, "anna/1.jpg"),
        "dora": (symbolic, "anna"),  # a folder
    }
    outside = {
        "c/host.jpg": (symbolic, "/etc/passwd"),
        "c/out.jpg": (symbolic, "../../../etc/passwd"),
        "c/round.jpg": (symbolic, "square.jpg"),
        "c/square.jpg": (symbolic, "round.jpg"),
        "anna/self": (symbolic, "../anna"),  # holds itself
    }
    found = reasons(linked_tar(tmp_path / "photos.tar", links | outside, mode))
    assert list(found)[:3] == ["anna/1.jpg", "anna/2.jpg", "ben/1.jpg"]
    expected = {name: name.encode() for name in list(found)[:3]}
    expected |= dict.fromkeys(["c/soft.jpg", "c/again.jpg", "c/hard.jpg", "dora/1.jpg"], b"anna/1.jpg")
    assert found == expected | {"dora/2.jpg": b"anna/2.jpg"} | dict.fromkeys(outside, "link")


def test_a_pipe_in_a_tar_is_unreadable(tmp_path):
    path = linked_tar(tmp_path / "photos.tar", {"c/pipe.jpg": (tarfile.FIFOTYPE, "")})
    assert reasons(path)["c/pipe.jpg"] == "unreadable"


def test_links_in_a_zip_are_what_they_stand_for(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("anna/1.jpg", b"photo")
        for name, target in {"c/soft.jpg": "../anna/1.jpg", "c/out.jpg": "/etc/passwd"}.items():
            link = zipfile.ZipInfo(name)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, target)
    assert reasons(tmp_path / "photos.zip") == {"anna/1.jpg": b"photo", "c/soft.jpg": b"photo", "c/out.jpg": "link"}


def test_linked_folders_are_followed_but_not_round_in_circles(tmp_path):
    people = as_folder(tmp_path / "all", {"anna/1.jpg": b"a", "ben/1.jpg": b"b", "clara/1.jpg": b"c"})
    few = as_folder(tmp_path / "few", {"dan/1.jpg": b"d"})
    for name in ("anna", "ben"):
        (few / name).symlink_to(people / name)
    (people / "ben/all").symlink_to(people)  # and back into what holds it
    (people / "ben/again").symlink_to(people / "ben")
    (few / "dan/2.jpg").symlink_to("nowhere.jpg")
    found = reasons(few)
    assert found == {
        "anna/1.jpg": b"a", "ben/1.jpg": b"b", "dan/1.jpg": b"d", "dan/2.jpg": "link",
        "ben/all/anna/1.jpg": b"a", "ben/all/clara/1.jpg": b"c",
    }  # fmt: skip


# What cannot be read


def test_what_cannot_be_read_of_a_folder_says_so(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(path)

    as_folder(tmp_path, {"s1/1.jpg": b"x"})
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert reasons(tmp_path) == {"s1/1.jpg": "unreadable"}
    monkeypatch.setattr(Path, "iterdir", lambda path: refuse(path) if path.name == "s1" else iter([path / "s1"]))
    assert reasons(tmp_path) == {"s1": "unreadable"}


@pytest.mark.parametrize("method, reason", [(zipfile.ZIP_STORED, "checksum"), (zipfile.ZIP_DEFLATED, "damaged")])
def test_one_damaged_zip_member_costs_no_other(tmp_path, method, reason):
    path, body = tmp_path / "photos.zip", bytes(range(256)) * 40
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("s1/1.jpg", body)
        archive.writestr("s1/2.jpg", b"fine")
    data = bytearray(path.read_bytes())
    data[60:75] = b"\xff" * 15
    path.write_bytes(data)
    assert reasons(path) == {"s1/1.jpg": reason, "s1/2.jpg": b"fine"}


@pytest.mark.parametrize("offset, value, reason", [(8, 1, "encrypted"), (10, 99, "unsupported-format")])
def test_a_zip_member_that_needs_more_says_what(tmp_path, offset, value, reason):
    path = as_zip(tmp_path / "photos.zip", {"s1/1.jpg": b"x"})
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\1\2") + offset  # its entry of the directory: flags, method
    data[place] = value
    path.write_bytes(data)
    assert reasons(path) == {"s1/1.jpg": reason}


def test_why_there_are_no_bytes_is_kept_in_our_own_tar(tmp_path):
    photos = [("a/1.jpg", Unread("encrypted")), ("a/2.jpg", b""), ("a/3.jpg", b"x")]
    write_photos(tmp_path / "photos.tar", photos)
    assert reasons(tmp_path / "photos.tar") == {"a/1.jpg": "encrypted", "a/2.jpg": b"", "a/3.jpg": b"x"}
    assert pickle.loads(pickle.dumps(photos[0][1])).reason == "encrypted"  # what workers are sent


def test_names_in_another_encoding_can_be_written_as_text(tmp_path):
    path = tmp_path / "photos.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("José/1.jpg"))
    assert list(read_photos(path)) == [("Jos\N{REPLACEMENT CHARACTER}/1.jpg", b"")]
