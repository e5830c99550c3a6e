"""Downloads from a server of the test's own: whole, resumed, pinned, refused."""

import hashlib
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dfd.core.errors import DfdError
from dfd.weights import downloads
from dfd.weights.downloads import MAGIC, fetch, importing, verify, weights_path
from dfd.weights.manifest import MANIFEST, Weights

DATA = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(BaseHTTPRequestHandler):
    def __init__(self, log, cut, *arguments):
        self.requests, self.cut = log, cut
        super().__init__(*arguments)

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.requests.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.path != "/w.bin" or start >= len(DATA):
            self.send_error(416 if start else 404)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        end = self.cut.pop() if self.cut else len(DATA)
        self.wfile.write(DATA[start:end])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """(requests seen, where answers are cut off, a function that sets the manifest's entry `w`)"""
    requests, cut = [], []
    running = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, requests, cut))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setenv("DFD_HOME", str(tmp_path / "home"))

    def entry(sha256=None, file="w.bin"):
        url = f"http://127.0.0.1:{running.server_port}/{file}"
        monkeypatch.setitem(MANIFEST, "w", Weights(url, len(DATA), "none", "none", "test", sha256))

    entry()
    yield requests, cut, entry
    running.shutdown()


def test_a_download_is_kept_and_not_repeated(server):
    requests, _, entry = server
    entry(SHA256)
    assert fetch("w").read_bytes() == DATA and fetch("w") == weights_path("w")
    assert requests == [None]
    assert [path.name for path in weights_path("w").parent.iterdir()] == ["w.bin"]


def test_a_download_cut_off_goes_on_where_it_stopped(server):
    requests, cut, _ = server
    cut.append(300_000)
    with pytest.raises(DfdError, match="w.bin"):
        fetch("w")
    assert not weights_path("w").exists()
    assert fetch("w").read_bytes() == DATA
    assert requests == [None, "bytes=300000-"]


def test_a_file_of_another_digest_is_refused(server):
    server[2]("0" * 64)
    for _ in range(2):
        with pytest.raises(DfdError, match="published"):
            fetch("w")


def test_an_unknown_digest_is_pinned_by_the_first_import(server):
    assert fetch("w") and verify("w") == SHA256
    with pytest.raises(DfdError, match="no weights"), importing("w"):
        raise DfdError("no weights")
    weights_path("w").write_bytes(DATA[:-1] + b"x")
    fetch("w")  # nothing was pinned by what could not be imported
    weights_path("w").write_bytes(DATA)
    with importing("w") as path:
        assert path == str(weights_path("w"))
    weights_path("w").write_bytes(DATA[:-1] + b"x")
    for _ in range(2):
        with pytest.raises(DfdError, match=r"first use, .*delete the line w in .*sha256\.json"):
            fetch("w")
    downloads._pin_file().unlink()  # as told: nobody is locked out for ever
    with importing("w"):
        pass
    assert verify("w") != SHA256


def test_any_other_weights_are_paths_already(server):
    with importing("~/mine.pth") as path:
        assert path == "~/mine.pth"
    assert not server[0]


PAGE = b"<!DOCTYPE html><title>Quota exceeded</title>"


@pytest.mark.parametrize("content", [PAGE, DATA[: len(DATA) // 2], PAGE.ljust(len(DATA)), b""])
def test_a_page_or_a_part_in_place_of_weights_is_told_and_not_pinned(server, content):
    server[2](file="w.h5")
    weights_path("w").parent.mkdir(parents=True)
    weights_path("w").write_bytes(content)
    with pytest.raises(DfdError, match=r"w\.h5: (damaged, .* bytes|no \.h5 file).*delete the file, and fetch it again"):
        fetch("w")
    assert not downloads._pin_file().exists()
    weights_path("w").write_bytes(MAGIC[".h5"][0] + DATA)
    with importing("w"):
        pass
    assert downloads._pin_file().exists()


def test_without_a_network_the_error_says_what_to_do(server):
    server[2](file="none.bin")
    with pytest.raises(
        DfdError, match=r"none\.bin: could not be downloaded .*get it from http.*none\.bin and put it there by hand"
    ):
        fetch("w")


def test_a_file_put_there_by_hand_is_taken(server):
    requests, _, _ = server
    weights_path("w").parent.mkdir(parents=True)
    weights_path("w").write_bytes(DATA)
    assert fetch("w") == weights_path("w") and not requests


def test_unknown_and_missing_weights(server):
    with pytest.raises(DfdError, match="no weights are called x"):
        fetch("x")
    with pytest.raises(DfdError, match="dfd weights fetch w"):
        verify("w")


def test_damaged_pins_are_an_error(server):
    fetch("w")
    downloads._pin_file().write_text("{", encoding="utf-8")
    with pytest.raises(DfdError, match="damaged"):
        verify("w")


def test_the_manifest_is_whole():
    for entry in MANIFEST.values():
        assert entry.url.startswith("https://") and entry.size > 1e6
        assert all((entry.file, entry.licence, entry.data, entry.source))
    assert len({entry.file for entry in MANIFEST.values()}) == len(MANIFEST)
