"""Files with random weights in the layout of rcmalli's Keras VGGFace, at 1/16 of the published channels."""

import zipfile

import h5py
import numpy as np

VGG_LAYERS = ["11", "12", "21", "22", "31", "32", "33", "41", "42", "43", "51", "52", "53"]


def random_layers(shapes, seed=0):
    """{layer: weights}, of {layer: kernel shape, or (channels,) for a normalisation}."""
    rng = np.random.default_rng(seed)
    layers = {}
    for name, shape in shapes.items():
        uniform = lambda low, high, n=shape[-1]: rng.uniform(low, high, n).astype(np.float32)
        if len(shape) == 1:
            layers[name] = {"gamma": uniform(0.5, 1.5), "beta": uniform(-0.3, 0.3)}
            layers[name] |= {"moving_mean": uniform(-0.5, 0.5), "moving_variance": uniform(0.001, 2)}
        else:
            kernel = rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)
            layers[name] = {"kernel": kernel, "bias": uniform(-0.3, 0.3)}
    return layers


def vgg_layers(top=True, side=2):
    widths = dict(zip(VGG_LAYERS, (4, 4, 8, 8, 16, 16, 16, 32, 32, 32, 32, 32, 32), strict=True))
    shapes, channels = {}, 3
    for index, width in widths.items():
        shapes[f"conv{index[0]}_{index[1]}"] = (3, 3, channels, width)
        channels = width
    if top:
        shapes |= {"fc6": (side * side * 32, 256), "fc7": (256, 256), "fc8": (256, 11)}
    return random_layers(shapes)


def resnet_layers(top=True):
    shapes, channels = {"conv1/7x7_s2": (7, 7, 3, 4), "conv1/7x7_s2/bn": (4,)}, 4
    for stage, blocks, inner in ((2, 3, 4), (3, 4, 8), (4, 6, 16), (5, 3, 32)):
        for block in range(1, blocks + 1):
            name = f"conv{stage}_{block}"
            parts = {"1x1_reduce": (1, 1, channels, inner), "3x3": (3, 3, inner, inner)}
            parts |= {"1x1_increase": (1, 1, inner, 4 * inner)}
            if block == 1:  # stored after the increase convolution
                parts |= {"1x1_proj": (1, 1, channels, 4 * inner)}
            for part, shape in parts.items():
                shapes |= {f"{name}_{part}": shape, f"{name}_{part}/bn": shape[-1:]}
            channels = 4 * inner
    layers = random_layers(shapes | ({"classifier": (channels, 11)} if top else {}))
    for name, weights in layers.items():
        if name.startswith("conv"):
            weights.pop("bias", None)  # VGGFace2's convolutions have none
    return layers


KERAS1 = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}


def write(path, layers, style=2, root="/", split=False, separator="/"):
    """An HDF5 file as Keras 1 and 2 write it, and whole models as 3 does; weights in reverse order, for names alone count."""
    layers = {name.replace("/", separator): weights for name, weights in layers.items()}
    with h5py.File(path, "w") as file:
        group = file.require_group(root)
        names = ["input_1", *layers, "flatten", "fc6/relu"]  # layers without weights are listed too
        attributes = {"layer_names": names}
        if split:
            attributes = {f"layer_names{i}": names[5 * i : 5 * i + 5] for i in range(-(-len(names) // 5))}
        for key, value in attributes.items():
            group.attrs[key] = np.array([name.encode() for name in value])
        for layer in names:
            own = group.require_group(layer)
            weights = {}
            for kind, array in reversed(layers.get(layer, {}).items()):
                names = {1: f"{layer}_{KERAS1.get(kind, kind)}_1:0", 2: f"{layer}/{kind}:0", 3: f"{layer}/{kind}"}
                weights[names[style]] = array
            own.attrs["weight_names"] = np.array([name.encode() for name in weights])
            for name, array in weights.items():
                own.create_dataset(name, data=array)
    return path


CLASSES = {2: "dense", 4: "conv2d", 1: "batch_normalization"}  # by the rank of a layer's first weight


def write_numbered(path, layers, named=True, archive=False):
    """An HDF5 file as `save_weights` of Keras 3 writes it, or a .keras archive with it; `named` as 3 does, else as 2.21."""
    inner = path.with_suffix(".inner") if archive else path
    with h5py.File(inner, "w") as file:
        file.create_group("optimizer/vars")["0"] = np.int64(7)
        counts = {}
        for layer, weights in {"input_1": {}, **layers, "dropout": {}}.items():
            arrays = list(weights.values())
            kind = CLASSES[arrays[0].ndim] if arrays else layer
            number, counts[kind] = counts.get(kind, 0), counts.get(kind, 0) + 1
            own = file.create_group(f"layers/{kind}_{number}" if number else f"layers/{kind}")
            variables = own.create_group("vars")
            if named:
                variables.attrs["name"] = layer.replace("/", "_")
            for index, array in enumerate(arrays):
                variables[str(index)] = array
        file.create_group("layers/dropout/seed_generator/vars")["0"] = np.zeros(2, np.uint32)
    if archive:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("config.json", "{}")
            file.write(inner, "model.weights.h5")
    return path
