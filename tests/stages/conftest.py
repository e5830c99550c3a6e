"""A project with few faces and tiny networks, for the stages."""

import shutil
import sys
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from small_project import DECODER, ROOT, TINY, changed

from dfd.decoder.registry import save_decoder
from dfd.decoder.settings import Decoder
from dfd.learning.decoders import fresh_decoder, learning_examples
from dfd.recognizers.registry import build_recognizer, save_recognizer
from dfd.templates.embedding import embed_faces
from dfd.templates.store import Templates, write_templates


@pytest.fixture
def project(tmp_path, monkeypatch, synthetic_store, orl_store):
    """A folder with two data sets, two recognizers, their templates and four decoders; stages run in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    # LPIPS is null here: what lies at its network's place is another file, and nothing is downloaded.
    trunk = tmp_path / "torch" / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    trunk.parent.mkdir(parents=True)
    trunk.write_bytes(b"")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with open("params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(changed(YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))), file)
    Path("data/faces").mkdir(parents=True)
    stores = {"synthetic": synthetic_store, "orl": orl_store}
    for name, store in stores.items():
        for suffix in (".h5", ".parquet"):
            shutil.copy(store.path.with_suffix(suffix), f"data/faces/{name}{suffix}")
    for seed, name in enumerate(("vgg", "resnet")):
        torch.manual_seed(seed)
        recognizer = build_recognizer("vgg16", TINY)
        save_recognizer(f"data/recognizers/{name}.safetensors", recognizer, "vgg16", TINY)
        for dataset, store in stores.items():
            template, mirrored = embed_faces(recognizer, store)
            attributes = {"recognizer": name, "layer": TINY["layer"], "weights_sha256": name}
            arrays = template.numpy(), None if mirrored is None else mirrored.numpy()
            write_templates(f"data/templates/{dataset}/{name}.h5", store, *arrays, attributes)
            if dataset == "synthetic":
                options = {"size": 14} | DECODER
                learned_from = learning_examples(Templates(store, template, mirrored), 14, 1.0)
                config = {"architecture": "residual", "dimension": template.shape[1], "options": options}
                config |= {"dataset": "synthetic", "people": []}
                for number, phi in enumerate(("vgg", "resnet")):
                    settings = Decoder(architecture="residual", size=14, options=DECODER)
                    decoder = fresh_decoder(settings, *learned_from, number)
                    torch.nn.init.normal_(decoder.to_rgb.weight, std=0.02)  # else those of one recognizer start alike
                    save_decoder(f"data/decoders/{name}-{phi}.safetensors", decoder, config)
    return tmp_path
