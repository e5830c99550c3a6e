"""A small project that the stages run in, one after the other, in this process: its params, and how it is changed and read."""

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from training import train_vgg

from dfd.core.paths import PERTURBED, TRANSFORMS
from dfd.decoder.registry import save_decoder
from dfd.decoder.settings import Decoder
from dfd.faces.settings import Faces
from dfd.faces.store import FaceStore
from dfd.learning.decoders import fresh_decoder, learning_examples
from dfd.project import Project
from dfd.recognizers.registry import build_recognizer, save_recognizer
from dfd.studies.equivariance.maps import write_transforms
from dfd.studies.equivariance.perturbations import perturbations
from dfd.studies.equivariance.perturbed import conditions, embed_perturbed, write_perturbed
from dfd.templates.embedding import embed_faces
from dfd.templates.linear import Moments, fit_ridge
from dfd.templates.store import Templates, write_templates

ROOT = Path(__file__).parents[2]
TINY = {"size": 32, "width": 0.05, "normalise": True, "layer": "fc7", "tap": "conv2_2"}
SMALL_FACES = Faces(
    geometry="portrait", size=64, context=2.0, fill="edge", select="largest", min_probability=0.9, min_face=0.3,
    detection_sides=[160, 640], max_megapixels=100, min_side=16, background="white",
)  # fmt: skip
DECODER = {"hidden": 16, "rank": 8, "channels": 16, "axes": 3}
INVERTED_VGG = {
    "width": 0.02, "hidden": 256, "channels": [256, 256, 128, 64, 64], "dropout": 0.0, "normalise": "batch", "output": "linear"
}  # fmt: skip
LOSSES = {
    "full": {"terms": ["pixel", "gradient", "perceptual"], "local": True},
    "pixel": {"terms": ["pixel"], "local": False},
}


def lay_out(folder: Path, patch: pytest.MonkeyPatch, stores: dict[str, FaceStore]) -> None:
    """Make the folder such a project, and the current folder."""
    patch.chdir(folder)
    patch.setattr(sys, "path", [str(ROOT), *sys.path])
    # LPIPS is null here: what lies at its network's place is another file, and nothing is downloaded.
    trunk = folder / "torch" / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    trunk.parent.mkdir(parents=True)
    trunk.write_bytes(b"")
    patch.setenv("TORCH_HOME", str(folder / "torch"))
    with open("params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(changed(YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))), file)
    Path("data/faces").mkdir(parents=True)
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


def changed(values: dict) -> dict:
    values["precision"] = "float32"
    train_vgg(values)
    values["recognizers"] |= {name: {"architecture": "vgg16", "options": TINY} for name in ("vgg", "resnet")}
    values["decoder"] |= {"size": 14, "options": DECODER}
    values["import_decoder"] = {}
    values["train_decoder"] |= {"epochs": 2, "batch_size": 8}
    values["bootstrap"], values["reconstruct"]["faces"] = 100, 2
    experiments = values["experiments"]
    experiments["max_faces"] = 20
    experiments["ablation"] |= {"epochs": 1, "losses": LOSSES}
    experiments["recognizer_loss"] |= {
        "train": 0.5, "architecture": "vgg16", "options": TINY, "recognizer_epochs": 1, "batch_size": 5, "epochs": 1,
    }  # fmt: skip
    experiments["template_layer"] |= {"epochs": 1}
    experiments["adapters"] |= {"decoder": "vgg-resnet", "recognizers": ["resnet"]}
    experiments["competitors"] |= {"variants": ["vgg-resnet"], "far": 0.1}
    for name, competitor in experiments["competitors"]["decoders"].items():
        if name == "inverted-vgg":
            competitor["options"] = INVERTED_VGG
        else:
            competitor["options"]["width"], competitor["training"]["batch_size"] = 0.03, 8
    return values


def change(edit: Callable[[dict], object]) -> None:
    """Change params.yaml, where the stages run."""
    values = YAML(typ="safe").load(Path("params.yaml").read_text(encoding="utf-8"))
    edit(values)
    with open("params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(values, file)


def stage(name: str, *arguments: str) -> None:
    importlib.import_module(f"stages.{name}").main(*arguments)


def read(name: str) -> dict:
    def refuse(word):
        raise AssertionError(f"{name} holds {word}")

    return json.loads(Path(f"metrics/{name}.json").read_text(encoding="utf-8"), parse_constant=refuse)


def fit_maps() -> None:
    """Maps of every recognizer, fitted to leave templates as they are; and its templates of ORL's perturbed test faces."""
    project = Project()
    settings, faces = project.params.transforms, project.faces("orl")
    views = perturbations(settings.rotate, settings.translate, settings.scale)
    verified = {condition: views[name] for condition, name in conditions(project.params.verify).items()}
    for name in project.params.recognizers:
        store = project.templates(faces, name)
        moments = Moments(store.dimension, store.dimension)
        moments.add(store.template[:], store.template[:])
        fit = fit_ridge(moments, moments)
        write_transforms(TRANSFORMS.format(name), dict.fromkeys(views, fit))
        perturbed = embed_perturbed(project.recognizer(name), faces, store.rows("test"), verified)
        write_perturbed(PERTURBED.format(name), faces, perturbed)
