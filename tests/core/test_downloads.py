"""The cache of downloads, and its errors; downloads themselves are tested with the weights, from a server."""

import hashlib
import urllib.request

import pytest

from dfd.core.downloads import cache_folder, download
from dfd.core.errors import DfdError

DATA = b"what was published"
SHA256 = hashlib.sha256(DATA).hexdigest()
URL = "https://example.org/a"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DFD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def no_network(monkeypatch):
    """Every connection fails, with an error of two lines."""

    def fail(*_, **__):
        raise OSError("no route\nto host")

    monkeypatch.setattr(urllib.request, "urlopen", fail)


def test_the_cache_is_the_users_or_the_platforms(home, monkeypatch):
    assert cache_folder() == home
    monkeypatch.delenv("DFD_HOME")
    assert cache_folder().is_absolute() and "deep-face-decoder" in str(cache_folder())
    monkeypatch.setenv("DFD_HOME", "~/faces")
    assert cache_folder().is_absolute() and cache_folder().name == "faces"


def test_a_file_put_there_by_hand_is_taken(home, no_network):
    home.mkdir()
    (home / "a.tgz").write_bytes(DATA)
    assert download("a.tgz", URL, SHA256) == download("a.tgz", URL) == home / "a.tgz"


def test_another_hash_is_refused_and_the_file_is_left_to_its_owner(home, no_network):
    home.mkdir()
    (home / "a.tgz").write_bytes(b"half of it")
    with pytest.raises(DfdError, match=r"a\.tgz: its SHA-256 .* is not the published one"):
        download("a.tgz", URL, SHA256)
    assert (home / "a.tgz").exists()


def test_without_a_network_the_line_says_what_to_do(home, no_network):
    with pytest.raises(DfdError) as error:
        download("a.tgz", URL, SHA256)
    message = str(error.value)
    assert message.startswith(f"{home / 'a.tgz'}: ") and "\n" not in message
    assert "no route to host" in message and URL in message and "by hand" in message
