"""Downloads: checked by hash, kept in a cache; without a network a line that says what to do by hand."""

import hashlib

import pooch
import pytest

from dfd.core.downloads import cache_folder, download
from dfd.core.errors import DfdError

DATA = b"what was published"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DFD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def network(monkeypatch):
    """A network with this one file; a list of what was asked of it."""
    asked = []

    def answer(self, url, output_file, pooch, check_only=False):
        asked.append(url)
        with open(output_file, "wb") as file:
            file.write(DATA)

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", answer)
    return asked


def test_the_cache_is_the_users_or_the_platforms(home, monkeypatch):
    assert cache_folder() == home
    monkeypatch.delenv("DFD_HOME")
    assert cache_folder().is_absolute() and "deep-face-decoder" in str(cache_folder())
    monkeypatch.setenv("DFD_HOME", "~/faces")
    assert cache_folder().is_absolute() and cache_folder().name == "faces"


def test_a_file_is_downloaded_once(home, network):
    for _ in range(2):
        assert download("a.tgz", "https://example.org/a", SHA256) == home / "a.tgz"
        assert (home / "a.tgz").read_bytes() == DATA
    assert network == ["https://example.org/a"]


def test_a_file_put_there_by_hand_is_taken(home, network):
    home.mkdir()
    (home / "a.tgz").write_bytes(DATA)
    assert download("a.tgz", "https://example.org/a", SHA256) == home / "a.tgz" and not network


def test_another_file_in_its_place_is_replaced(home, network):
    home.mkdir()
    (home / "a.tgz").write_bytes(b"half of it")
    assert download("a.tgz", "https://example.org/a", SHA256).read_bytes() == DATA and network


def test_another_hash_is_refused(home, network):
    with pytest.raises(DfdError, match=r"a\.tgz: could not be downloaded .*hash") as error:
        download("a.tgz", "https://example.org/a", "0" * 64)
    assert "\n" not in str(error.value) and not list(home.iterdir())


@pytest.mark.parametrize("failure", [OSError("no route\nto host"), TimeoutError("too slow"), PermissionError(13, "denied")])
def test_without_a_network_the_line_says_what_to_do(home, monkeypatch, failure):
    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", fail)
    with pytest.raises(DfdError) as error:
        download("a.tgz", "https://example.org/a", SHA256)
    message = str(error.value)
    assert message.startswith(f"{home / 'a.tgz'}: ") and "\n" not in message
    assert "https://example.org/a" in message and SHA256 in message and "by hand" in message
