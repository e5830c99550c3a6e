"""`dfd explore`: what it opens, what it answers, what it refuses, and that its page works in a browser."""

import base64
import io
import json
import shutil
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import Browser, needs_chromium
from PIL import Image
from ruamel.yaml import YAML

from dfd import cli
from dfd.core.errors import DfdError
from dfd.decoder.registry import build_decoder, save_decoder
from dfd.explorer.opening import open_space
from dfd.explorer.server import Explorer
from dfd.templates.files import write_templates_file
from dfd.templates.store import write_templates
from dfd.workspace import Workspace

ROOT = Path(__file__).parents[2]
D, SIZE = 6, 28


@pytest.fixture(scope="module")
def project(tmp_path_factory, orl_store) -> Path:
    """A folder with params.yaml, ORL's faces, a store of their templates, and two decoders of 6-d ones."""
    folder = tmp_path_factory.mktemp("project")
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["device"] = "cpu"
    params["import_decoder"], params["experiments"]["adapters"]["decoder"] = {}, "vgg-vgg"
    params["decoder"] = {"architecture": "linear", "size": SIZE, "options": {}}
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        yaml.dump(params, file)
    torch.manual_seed(0)
    for name, weights in (("vgg-vgg", "a" * 64), ("vgg-resnet", "a" * 64), ("resnet-vgg", "b" * 64)):
        decoder = build_decoder("linear", D, {"size": SIZE})
        decoder.set_statistics(torch.randn(50, D), torch.rand(3, SIZE, SIZE))
        config = {"architecture": "linear", "dimension": D, "options": {"size": SIZE}, "recognizer": name.split("-")[0]}
        save_decoder(folder / cli.DECODER.format(name), decoder, config | {"weights_sha256": weights})
    (folder / "data/faces").mkdir(parents=True)
    for suffix in (".h5", ".parquet"):
        shutil.copy(orl_store.path.with_suffix(suffix), folder / f"data/faces/orl{suffix}")
    templates = np.random.default_rng(0).normal(size=(len(orl_store), D)).astype(np.float32)
    templates[3] = np.nan  # a face without a template
    about = {"recognizer": "vgg", "weights_sha256": "a" * 64, "layer": "fc"}
    write_templates(folder / "data/templates/orl/vgg.h5", orl_store, templates, None, about)
    return folder


STORE = Path("data/templates/orl/vgg.h5")


@pytest.fixture
def server(project, monkeypatch):
    monkeypatch.chdir(project)
    space, _ = open_space(Workspace(), STORE)
    with Explorer(space, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(server, path: str, body: object = None, **headers) -> tuple[int, bytes]:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(server.url + path, data, headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_store_with_its_photos_people_and_decoders(server, orl_store):
    about = json.loads(asked(server, "about")[1])
    assert about["name"] == "orl, vgg" and about["dimension"] == D and len(about["keys"]) == len(orl_store) - 1
    assert about["decoders"] == ["vgg-vgg", "vgg-resnet"] and about["photos"]  # not resnet's
    key = orl_store.faces["key"][4]
    row = about["keys"].index(key)
    assert row == 3 and about["people"][row] == orl_store.faces["identity"][4]
    image = Image.open(io.BytesIO(asked(server, f"photo/{row}")[1]))
    expected = (orl_store.views([4], orl_store.size)[0] * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(np.asarray(image), expected)
    assert np.shape(json.loads(asked(server, "layout/pca")[1])) == (len(about["keys"]), 2)
    found = json.loads(asked(server, "look", {"weights": {"0": 0.5, "7": 0.5}, "axes": [1, -1]})[1])
    assert list(found["faces"]) == about["decoders"] and 1 <= len(found["nearest"]) <= 6
    face = base64.b64decode(found["faces"]["vgg-vgg"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(face)).size == (SIZE, SIZE)


def test_it_answers_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert asked(server, "about", Host="evil.example")[0] == 403
    for path, body, code in (
        ("x", None, 404), ("photo/999", None, 404), ("photo/-1", None, 404), ("layout/x", None, 400), ("x", {}, 404),
        ("look", b"{", 400), ("look", {"weights": {"999": 1}}, 400), ("look", {"weights": []}, 400), ("look", [], 400),
    ):  # fmt: skip
        assert asked(server, path, body)[0] == code, (path, body)
    assert asked(server, "about")[0] == 200


def test_a_port_in_use_is_one_line(server, project, dfd):
    code, _, err = dfd("explore", STORE, "--port", server.server_port)
    assert code == 1 and len(err.splitlines()) == 1 and "is in use" in err and "--port" in err
    with socket.create_connection(("127.0.0.1", server.server_port)):
        pass


def test_a_users_own_templates(project, monkeypatch, tmp_path, orl_store):
    monkeypatch.chdir(project)
    vectors = np.random.default_rng(0).normal(size=(5, D))
    np.save(tmp_path / "enc.npy", vectors)
    space, _ = open_space(Workspace(), tmp_path / "enc.npy")
    assert space.keys == list("01234") and space.people.tolist() == space.keys and space.photo(0) is None
    assert len(space.decoders) == 3  # it does not say whose they are
    keys = orl_store.faces["key"].tolist()[:5]
    write_templates_file(tmp_path / "theirs.parquet", keys, vectors)
    space, _ = open_space(Workspace(), tmp_path / "theirs.parquet", ["vgg-vgg"], Path("data/faces/orl.h5"))
    assert list(space.decoders) == ["vgg-vgg"] and space.photo(0)[:4] == b"\x89PNG"
    assert space.people.tolist() == orl_store.faces["identity"].tolist()[:5]
    write_templates_file(tmp_path / "foreign.npz", ["a/1", "b/1"], vectors[:2])
    space, _ = open_space(Workspace(), tmp_path / "foreign.npz")
    assert space.people.tolist() == ["a", "b"]
    with pytest.raises(DfdError, match="none of 2 templates has the key of a face"):
        open_space(Workspace(), tmp_path / "foreign.npz", faces=Path("data/faces/orl.h5"))


MISTAKES = {
    "no such file": (("gone.npy",), "no such file"),
    "another dimension": (("{tmp}/wide.npy",), "none of the decoders at hand takes such (vgg-vgg (6)"),
    "another dimension than the named": (("{tmp}/wide.npy", "--variant", "vgg-vgg"), "vgg-vgg decodes (N, 6)"),
    "not a number": (("{tmp}/nan.npy",), "row 1"),
    "an unknown decoder": (("{tmp}/fine.npy", "--variant", "x"), "no x"),
    "no such decoder here": (("{tmp}/fine.npy", "--variant", "resnet-resnet"), "dvc repro"),
    "no such faces": (("{tmp}/fine.npy", "--faces", "gone.h5"), "gone.h5: not a face store"),
    "no such adapter": (("{tmp}/fine.npy", "--adapter", "gone.safetensors"), "gone.safetensors"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(dfd, tmp_path, mistake):
    np.save(tmp_path / "wide.npy", np.eye(2, 7))
    np.save(tmp_path / "fine.npy", np.random.default_rng(0).normal(size=(3, D)))
    np.save(tmp_path / "nan.npy", np.array([[0.0] * D, [np.nan] * D]))
    arguments, message = MISTAKES[mistake]
    code, out, err = dfd("explore", *(argument.format(tmp=tmp_path) for argument in arguments), "--port", "0")
    assert code == 1 and out == "" and len(err.splitlines()) == 1 and message in err


def test_no_decoder_at_hand_is_told(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    np.save(tmp_path / "enc.npy", np.eye(2, D))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DfdError, match="no decoder is here"):
        open_space(Workspace(), Path("enc.npy"))


@needs_chromium
def test_its_page_in_a_browser(server, tmp_path):
    face = "document.querySelector(`#faces img[alt='vgg-vgg']`)?.src"
    with Browser(tmp_path / "profile") as browser:
        for width in (390, 1440):
            browser.open(server.url, width)
            browser.wait("document.querySelectorAll('#nearest figure').length")
            assert browser.overflow() <= 0 and browser.errors == []
        assert browser.run("[...document.querySelectorAll('#faces figcaption')].map(c => c.textContent)") == [
            "photo", "vgg-vgg", "vgg-resnet",
        ]  # fmt: skip
        title, first = "document.getElementById('what').textContent", browser.run(face)
        clicked = "(row => { const [x, y] = pixel(places[row]), edge = canvas.getBoundingClientRect(); return [edge.left + x, edge.top + y]; })"

        def click(row: int) -> None:
            x, y = browser.run(f"{clicked}({row})")
            for kind in ("mousePressed", "mouseReleased"):
                browser.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
            browser.wait(f"{title} === about.keys[{row}] && !busy")

        click(5)
        assert browser.run(face) != first
        browser.run("document.getElementById('setA').click()")
        click(9)
        browser.run("document.getElementById('setB').click()")
        move = "(t => { const m = document.getElementById('mix'); m.value = t; m.dispatchEvent(new Event('input')); })"
        seen = set()
        for t in (0.2, 0.8):
            browser.run(f"{move}({t})")
            browser.wait(f"{title}.includes(' to ') && !busy")
            seen.add(browser.run(face))
        assert len(seen) == 2
        browser.run(
            "(i => { i.value = 3; i.dispatchEvent(new Event('input')); })(document.querySelector('#axes input'))"
        )
        browser.wait("!busy")
        assert browser.run(face) not in seen
        edge = browser.run("(e => [e.left, e.top, e.width])(canvas.getBoundingClientRect())")
        start, end = (edge[0] + 2, edge[1] + 2), (edge[0] + edge[2] - 2, edge[1] + edge[2] - 2)
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            browser.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", modifiers=8, clickCount=1)
        browser.wait("selection.length === places.length")
        browser.run("document.getElementById('average').click()")
        browser.wait(f"{title} === 'Average of ' + places.length + ' templates' && !busy")
        browser.run("document.querySelector('#nearest figure').click()")
        browser.wait(f"about.keys.includes({title}) && !busy")
        assert browser.errors == []
