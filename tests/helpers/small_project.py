"""A small project that the stages run in, one after the other, in this process: its params, and how it is changed and read."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from training import train_vgg

from dfd.faces.store import FaceStore
from dfd.params import load_params
from dfd.studies.equivariance.maps import write_transforms
from dfd.studies.equivariance.perturbations import perturbations
from dfd.templates.linear import Moments, fit_ridge
from dfd.templates.store import TemplateStore

ROOT = Path(__file__).parents[2]
TINY = {"size": 32, "width": 0.05, "normalise": True, "layer": "fc7", "tap": "conv2_2"}
DECODER = {"hidden": 16, "rank": 8, "channels": 16, "axes": 3}
INVERTED_VGG = {
    "width": 0.02, "hidden": 256, "channels": [256, 256, 128, 64, 64], "dropout": 0.0, "normalise": "batch", "output": "linear"
}  # fmt: skip
LOSSES = {
    "full": {"terms": ["pixel", "gradient", "perceptual"], "local": True},
    "pixel": {"terms": ["pixel"], "local": False},
}


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
    """Maps of every recognizer, fitted to leave templates as they are."""
    params = load_params()
    views = perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale)
    for name in params.recognizers:
        store = TemplateStore(f"data/templates/orl/{name}.h5", FaceStore("data/faces/orl.h5"))
        moments = Moments(store.dimension, store.dimension)
        moments.add(store.template[:], store.template[:])
        fit = fit_ridge(moments, moments)
        write_transforms(f"data/transforms/{name}.h5", dict.fromkeys(views, fit))
