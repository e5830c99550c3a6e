"""params.yaml: the shipped one loads, and every mistake is one line that names the file and the key."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from fuzzing import put
from pydantic import ValidationError
from ruamel.yaml import YAML
from training import train_vgg

from dfd.core.errors import DfdError
from dfd.params import load_params, patched

SHIPPED = Path(__file__).parents[1] / "params.yaml"


@pytest.fixture
def changed(tmp_path):
    """A function: writes the shipped params, vgg being trained, with changes (dotted key → value; `...` removes it), and gives
    the path."""

    def write(changes: dict) -> Path:
        yaml, path = YAML(), tmp_path / "params.yaml"
        values = yaml.load(SHIPPED.read_text(encoding="utf-8"))
        train_vgg(values)
        for key, value in changes.items():
            put(values, key.split("."), deepcopy(value))  # a copy: a later key may change something in it
        with open(path, "w", encoding="utf-8") as file:
            yaml.dump(values, file)
        return path

    return write


def test_the_shipped_file_loads():
    params = load_params(SHIPPED)
    assert params.seed >= 0 and params.decoder.options
    for recognizer in params.recognizers:
        assert (recognizer in params.import_recognizer) != (recognizer in params.train_recognizer)


def test_a_change_reaches_the_value(changed):
    params = load_params(
        changed({"decoder.options.channels": 40, "variants.a": {"template": "vgg", "perceptual": "vgg"}})
    )
    assert params.decoder.options["channels"] == 40 and params.entry("variants", "a").template == "vgg"


@pytest.mark.parametrize("text, value", [("1e-3", 1e-3), ("1.0e-3", 1e-3), ("1", 1.0), ("2E-4", 2e-4)])
def test_numbers_are_read_as_numbers(changed, text, value):
    path = changed({})
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [line.split(":")[0] + ": " + text if line.strip().startswith("learning_rate:") else line for line in lines]
    path.write_text("\n".join(lines), encoding="utf-8")
    params = load_params(path)
    assert params.train_decoder.learning_rate == value and isinstance(params.train_decoder.learning_rate, float)
    assert params.train_recognizer["vgg"].learning_rate == value


ORL = {"source": "orl", "split": {"test": 1.0}}
INVERTED_VGG = {
    "decoder.architecture": "inverted-vgg",
    "decoder.options": {
        "width": 0.5, "hidden": 64, "channels": [8] * 5, "dropout": 0.0, "normalise": "batch", "output": "linear"
    },
}  # fmt: skip
COMPETITORS = "experiments.competitors.decoders"
# changes -> what the message must name
MISTAKES = {
    "unknown key": ({"decoder.depth": 3}, "decoder.depth"),
    "unknown section": ({"training": {}}, "training"),
    "unknown key in an entry": ({"variants.vgg-vgg.percept": "vgg"}, "variants.vgg-vgg.percept"),
    "missing key": ({"faces.fill": ...}, "faces.fill"),
    "missing section": ({"loss": ...}, "loss"),
    "text for a number": ({"train_decoder.epochs": "five"}, "train_decoder.epochs"),
    "a number in quotes": ({"train_decoder.epochs": "5"}, "train_decoder.epochs"),
    "a fraction for a count": ({"train_decoder.epochs": 2.5}, "train_decoder.epochs"),
    "a number for a truth value": ({"loss.local": 1}, "loss.local"),
    "nothing": ({"seed": None}, "seed"),
    "a list for a number": ({"loss.pixel": [1.0]}, "loss.pixel"),
    "a number for a section": ({"loss": 1.0}, "loss"),
    "below its range": ({"train_decoder.epochs": 0}, "train_decoder.epochs"),
    "above its range": ({"loss.perceptual_share": 1.5}, "loss.perceptual_share"),
    "no process": ({"processes": 0}, "processes"),
    "processes of another word": ({"processes": "all"}, "processes"),
    "averages of nothing new": ({"train_decoder.averaging": 1.0}, "train_decoder.averaging"),
    "a clip below zero": ({"train_decoder.clip": -1.0}, "train_decoder.clip"),
    "a truth in words": ({"recognizers.vgg.options.normalise": "no"}, "recognizers.vgg.options.normalise"),
    "a truth as width": ({"recognizers.vgg.options.width": True}, "recognizers.vgg.options.width"),
    "no width": ({"recognizers.vgg.options.width": 0}, "recognizers.vgg.options.width"),
    "a width of hardly any channel": ({"recognizers.vgg.options.width": 1e-300}, "recognizers.vgg.options.width"),
    "too wide": ({"recognizers.vgg.options.width": 3}, "recognizers.vgg.options.width"),
    "a size that cannot be halved": ({"recognizers.vgg.options.size": 65}, "recognizers.vgg.options.size"),
    "nothing as size": ({"recognizers.vgg.options.size": None}, "recognizers.vgg.options.size"),
    "all dropped out": ({"recognizers.vgg.options.dropout": 1.0}, "recognizers.vgg.options.dropout"),
    "a scale of zero": ({"recognizers.vgg.options.scale": 0}, "recognizers.vgg.options.scale: a scale of 0"),
    "two means": ({"recognizers.vgg.options.mean": [1, 2]}, "recognizers.vgg.options.mean: a number, or one for each"),
    "no such window": ({"recognizers.vgg.options.window": "eye"}, "recognizers.vgg.options.window: dlib, arcface, box"),
    "four points": ({"recognizers.vgg.options.window": [[1, 2]] * 4}, "recognizers.vgg.options.window"),
    "an option of another recognizer": ({"recognizers.resnet.options.width": 1}, "recognizers.resnet.options.width"),
    "a colour order in words": ({"recognizers.resnet.options.bgr": "false"}, "recognizers.resnet.options.bgr"),
    "an option in an experiment": (
        {"experiments.recognizer_loss.options.padding": "same"},
        "experiments.recognizer_loss.options.padding",
    ),
    "an option below its range": ({"decoder.options.channels": 0}, "decoder.options.channels"),
    "an option of another architecture": ({"decoder.options.width": 0.5}, "decoder.options.width"),
    "an option missing": ({"decoder.options.hidden": ...}, "decoder.options.hidden"),
    "options of another architecture": ({"decoder.architecture": "inverted-vgg"}, "decoder.options.dropout"),
    "dropout of everything": (INVERTED_VGG | {"decoder.options.dropout": 1.0}, "decoder.options.dropout"),
    "four stages": (INVERTED_VGG | {"decoder.options.channels": [8, 8, 8, 8]}, "decoder.options.channels"),
    "no such norm": (INVERTED_VGG | {"decoder.options.normalise": "layer"}, "decoder.options.normalise"),
    "not a number": ({"loss.pixel": float("nan")}, "loss.pixel"),
    "infinite": ({"train_decoder.learning_rate": float("inf")}, "train_decoder.learning_rate"),
    "no choice": ({"faces.geometry": "cropped"}, "faces.geometry"),
    "sides the wrong way round": ({"faces.detection_sides": [640, 160]}, "detection_sides"),
    "a source that is none": ({"datasets.orl.source": "imdb"}, "datasets.orl.source: Input should be 'synthetic'"),
    "shares below one": ({"datasets.orl.split": {"train": 0.5, "test": 0.4}}, "datasets.orl"),
    "shares above one": ({"datasets.orl.split": {"train": 0.8, "test": 0.8}}, "datasets.orl"),
    "no shares": ({"datasets.orl.split": {}}, "datasets.orl"),
    "unknown split": ({"datasets.orl.split": {"val": 1.0}}, "datasets.orl.split.val"),
    "synthetic without a number": ({"datasets.synthetic.faces": ...}, "datasets.synthetic"),
    "a folder without a path": ({"datasets.orl.source": "folder"}, "datasets.orl: a folder data set needs `path`"),
    "a path that is empty": ({"datasets.orl.path": ""}, "datasets.orl.path"),
    "celeba without identities": (
        {"datasets.orl": {"source": "celeba", "path": "a.zip", "split": {"test": 1.0}}},
        "`identities`",
    ),
    "no colour": ({"faces.background": "nacre"}, "faces.background: 'nacre' is no colour"),
    "a key of another source": (
        {"datasets.orl.attributes": "x.csv"},
        "datasets.orl: `attributes` is of no use to source orl",
    ),
    "a data set's name with a blank": ({"datasets.my photos": ORL}, "datasets.my photos"),
    "a data set's name with a folder": ({"datasets.a/b": ORL}, "datasets.a/b"),
    "a name that looks like an option": ({"datasets.-x": ORL}, "datasets.-x"),
    "a recognizer's name with a colon": ({"recognizers.a:b": {"architecture": "vgg16"}}, "recognizers.a:b"),
    "a variant's name with a blank": ({"variants.a b": {"template": "vgg", "perceptual": "vgg"}}, "variants.a b"),
    "folds of no pairs": ({"datasets.orl.test_folds": [9, 10]}, "datasets.orl: `test_folds`"),
    "fold zero": ({"datasets.orl.test_folds": [0], "datasets.orl.pairs": "pairs.txt"}, "datasets.orl.test_folds"),
    "leakage that is no truth value": ({"roles.allow_leakage": "no"}, "roles.allow_leakage"),
    "variant of no recognizer": ({"variants.vgg-vgg.perceptual": "arcface"}, "variants.vgg-vgg.perceptual"),
    "a variant's unknown loss": ({"variants.vgg-vgg.loss": {"ssim": 1.0}}, "variants.vgg-vgg.loss.ssim: Extra inputs"),
    "a variant's negative loss": ({"variants.vgg-vgg.loss": {"pixel": -1.0}}, "variants.vgg-vgg.loss.pixel"),
    "a variant's losses in two mistakes": (
        {"variants.vgg-vgg.loss": {"ssim": 1.0, "local": 1}},
        "; variants.vgg-vgg.loss.",
    ),
    "an identity loss of nobody": ({"variants.vgg-vgg.loss": {"identity": 0.1}}, "variants.vgg-vgg: loss.identity"),
    "an identity loss of nobody for all": ({"loss.identity": 0.1}, "variants.vgg-vgg: loss.identity"),
    "an identity that is no recognizer": ({"variants.vgg-vgg.identity": "arcface"}, "variants.vgg-vgg.identity"),
    "a decoder trained and imported": (
        {"import_decoder.vgg-vgg": {"weights": "x", "template": "vgg"}},
        "vgg-vgg is in both variants and import_decoder",
    ),
    "imported decoder of no recognizer": (
        {"import_decoder.a": {"weights": "x", "template": "senet"}},
        "import_decoder.a.template",
    ),
    "imported decoder from nowhere": (
        {"import_decoder.a": {"weights": "", "template": "vgg"}},
        "import_decoder.a.weights",
    ),
    "variant decodes no recognizer": ({"variants.vgg-vgg.template": "arcface"}, "variants.vgg-vgg.template"),
    "an architecture that is none": (
        {"recognizers.vgg.architecture": "senet"},
        "recognizers.vgg.architecture: no architecture is called senet; there are dlib-resnet, vgg16",
    ),
    "a recognizer's architecture for a decoder": ({"decoder.architecture": "vgg16"}, "decoder.architecture: no arch"),
    "a decoder's architecture for a recognizer": (
        {"experiments.recognizer_loss.architecture": "residual"},
        "experiments.recognizer_loss.architecture: no architecture",
    ),
    "teacher that is none": ({"train_recognizer.vgg.teacher": "senet"}, "train_recognizer.vgg.teacher"),
    "its own teacher": ({"train_recognizer.vgg.teacher": "vgg"}, "train_recognizer.vgg.teacher"),
    "data set that is none": ({"train_recognizer.vgg.dataset": "lfw"}, "train_recognizer.vgg.dataset"),
    "role of no data set": ({"roles.verification": "lfw"}, "roles.verification"),
    "recognizer imported and trained": ({"import_recognizer.vgg": {"weights": "x"}}, "recognizer vgg"),
    "recognizer from nowhere": ({"import_recognizer.resnet": ...}, "recognizer resnet"),
    "import of no recognizer": ({"import_recognizer.senet": {"weights": "x"}}, "import_recognizer.senet"),
    "triplets without labels": ({"train_recognizer.vgg.triplet_epochs": 2}, "train_recognizer.vgg"),
    "batches of one": ({"train_recognizer.vgg.batch_size": 1}, "train_recognizer.vgg.batch_size"),
    "precomputed weights without templates": (
        {"import_recognizer.resnet.weights": "precomputed"},
        "import_recognizer.resnet",
    ),
    "templates of a network": ({"import_recognizer.resnet.templates": {"orl": "x.h5"}}, "import_recognizer.resnet"),
    "no noise": ({"attacks.epsilon": 0}, "attacks.epsilon"),
    "more noise than there are grey levels": ({"attacks.epsilons": [1, 300]}, "attacks.epsilons"),
    "everybody's photos all enrolled": ({"attacks.enrol": 1.0}, "attacks.enrol"),
    "one person to attack": ({"attacks.max_people": 1}, "attacks.max_people"),
    "rotation that has no transform": ({"verify.rotate": 45}, "verify"),
    "a whole turn": ({"verify.rotate": 360}, "verify"),
    "no rotation": ({"verify.rotate": 0}, "verify"),
    "a FAR of nothing": ({"evaluate.far": 0.0}, "evaluate.far"),
    "a FAR of everything": ({"evaluate.far": 1.0}, "evaluate.far"),
    "no face from storage": ({"evaluate.storage_faces": 0}, "evaluate.storage_faces"),
    "no regions": ({"occlusions.regions": []}, "occlusions.regions"),
    "a region that is none": ({"occlusions.regions": ["nose"]}, "occlusions.regions.0: Input should be 'eyes' or"),
    "a protection that is none": ({"inversion.protections": ["prayer"]}, "inversion.protections.0: Input should be"),
    "a shade beyond white": ({"occlusions.shade": 255.0}, "occlusions.shade"),
    "one cluster": ({"clusters.count": 1}, "clusters.count"),
    "counts that do not ascend": ({"aggregation.counts": [1, 5, 5]}, "aggregation"),
    "no counts": ({"aggregation.counts": []}, "aggregation.counts"),
    "draws without a half": ({"aggregation.draws": 7}, "aggregation.draws"),
    "more draws decoded than drawn": ({"aggregation.decoded_draws": 100}, "aggregation"),
    "scale that has no transform": ({"verify.scale": 0.7}, "verify"),
    "ablation of no term": (
        {"experiments.ablation.losses": {"a": {"terms": [], "local": True}}},
        "experiments.ablation.losses.a",
    ),
    "no seed": ({"experiments.ablation.seeds": []}, "experiments.ablation.seeds"),
    "a seed below zero": ({"experiments.ablation.seeds": [-1]}, "experiments.ablation.seeds"),
    "unknown competitor": ({"experiments.competitors.decoders.gan": {}}, "experiments.competitors.decoders.gan"),
    "a competitor's wrong option": (
        {f"{COMPETITORS}.nbnet.options": {"width": 0.0}},
        f"{COMPETITORS}.nbnet.options.width",
    ),
    "another competitor's option": (
        {f"{COMPETITORS}.inverted-vgg.options.growth": 8},
        f"{COMPETITORS}.inverted-vgg.options.growth",
    ),
    "a competitor's wrong training": (
        {f"{COMPETITORS}.nbnet.training.batch_size": 1},
        f"{COMPETITORS}.nbnet.training.batch_size",
    ),
    "other losses of the paper's decoder": (
        {
            f"{COMPETITORS}.inverted-vgg.training": {
                "batch_size": 8,
                "learning_rate": 0.1,
                "beta1": 0.9,
                "schedule": "constant",
            }
        },
        f"{COMPETITORS}.inverted-vgg.training",
    ),
    "a phase of all epochs": ({"train_decoder.epochs": 1}, f"{COMPETITORS}.nbnet.training: perceptual_epochs"),
    "a phase of no epoch": (
        {f"{COMPETITORS}.nbnet.training.perceptual_epochs": 0},
        f"{COMPETITORS}.nbnet.training: perceptual_epochs",
    ),
    "a phase that there is not": (
        {f"{COMPETITORS}.residual-deconvolution.training.perceptual_epochs": 1},
        f"{COMPETITORS}.residual-deconvolution.training: it learns in one phase",
    ),
    "a rate of a phase that there is not": (
        {f"{COMPETITORS}.residual-deconvolution.training.perceptual_learning_rate": 0.1},
        f"{COMPETITORS}.residual-deconvolution.training: it learns in one phase",
    ),
}
# What no one means, and would end in a traceback, in no memory, or never.
MISTAKES |= {
    f"{key}: {str(value)[:30]}": ({key: value}, key)
    for key, values in {
        "seed": [2**32, -1],
        "device": ["cpu:7", "gpu", "", "cuda:x"],
        "memory_gb": [1e12],
        "bootstrap": [10**9],
        "faces.size": [100_000],
        "faces.context": [60.0, 0.5],
        "faces.min_face": [0.001, 1e-300],
        "faces.detection_sides": [[1, 1], [96, 10**6]],
        "faces.min_side": [10**6],
        "transforms.faces": [1],
        "transforms.held_out": [1],
        "transforms.scale": [[1e-9], [1e9], [0.5, 0.5], [0.5, 0.5000000001]],
        "transforms.translate": [1e-300],
        "closed_form.axes": [128],
        "decoder.size": [7, 100_000],
        "decoder.options.hidden": [10**12],
        "decoder.options.axes": [1000],
        "loss.pixel": [1e12, 1e-300],
        "loss.perceptual_share": [1e-300],
        "train_decoder.learning_rate": [1e-300, 100.0],
        "train_decoder.epochs": [10**9],
        "train_decoder.batch_size": [10**9],
        "train_recognizer.vgg.learning_rate": [1e12, 100.0],
        "train_recognizer.vgg.margin": [1e12],
        "train_recognizer.vgg.arcface_scale": [1e12],
        "train_recognizer.vgg.triplet_margin": [5.0],
        "attacks.enrol": [1e-9, 0.999999],
        "attacks.epsilon": [1e-9],
        "attacks.epsilons": [[], [1, 1]],
        "attacks.cw_l2.initial": [1e12],
        "attacks.cw_l2.learning_rate": [1e12],
        "attacks.cw_l2.confidence": [1e12],
        "reconstruct.faces": [10**9],
        "occlusions.regions": [["eyes", "eyes"]],
        "clusters.count": [10**6],
        "aggregation.draws": [20_000_000],
        "aggregation.counts": [[10**12]],
        "disentangling.attribute_size": [10**6],
        "disentangling.batch_size": [10**9],
        "disentangling.hidden": [10**12],
        "disentangling.learning_rate": [1e12],
        "disentangling.weight": [1e12],
        "inversion.fmrs": [[0.01, 0.01], [1e-300]],
        "inversion.protections": [["float16", "float16"]],
        "inversion.keys": [10**9],
        "experiments.ablation.seeds": [[0, 0], [2**32]],
        "experiments.ablation.losses": [{"a/b": {"terms": ["pixel"], "local": True}}],
        "experiments.recognizer_loss.objectives": [["softmax", "softmax"]],
        "experiments.template_layer.layers": [["fc7", "fc7"]],
        "experiments.competitors.variants": [["a", "a"]],
        "experiments.adapters.pairs": [[100, 100]],
        "experiments.recognizer_loss.options.epsilon": [1e-300],
        f"{COMPETITORS}.nbnet.options": [{"width": 1e-300}],
    }.items()
    for value in values
}
MISTAKES |= {
    f"{key} of nothing that exists": ({key: value}, f"{key}: no {kind} is called nobody; there are ")
    for key, kind, value in [
        ("experiments.ablation.variant", "variant", "nobody"),
        ("experiments.recognizer_loss.dataset", "data set", "nobody"),
        ("experiments.recognizer_loss.perceptual", "recognizer", "nobody"),
        ("experiments.template_layer.recognizer", "recognizer", "nobody"),
        ("experiments.template_layer.perceptual", "recognizer", "nobody"),
        ("experiments.competitors.variants", "variant", ["vgg-vgg", "nobody"]),
        ("experiments.adapters.decoder", "decoder", "nobody"),
        ("experiments.adapters.recognizers", "recognizer", ["nobody"]),
    ]
}
MISTAKES |= {
    f"inverted-vgg's {key}": (INVERTED_VGG | {f"decoder.options.{key}": value}, f"decoder.options.{key}")
    for key, value in {"width": 1e-300, "channels": [1] * 5, "dropout": 0.999}.items()
}
MISTAKES |= {
    "a crop beyond all memory": ({"faces.size": 1024, "faces.context": 8.0}, "faces: `size` times `context`"),
    "no decoder at all": ({"variants": {}, "import_decoder": {}}, "variants and import_decoder are both empty"),
}

TEMPLATES = {"synthetic": "a.npz", "orl": "b.parquet"}
PRECOMPUTED = {
    "recognizers.mine": {"architecture": "precomputed"},
    "import_recognizer.mine": {"weights": "precomputed", "templates": TEMPLATES},
    "variants.mine-vgg": {"template": "mine", "perceptual": "vgg"},
}
MISTAKES |= {
    name: (PRECOMPUTED | changes, named)
    for name, (changes, named) in {
        "templates as perceptual features": (
            {"variants.vgg-mine": {"template": "vgg", "perceptual": "mine"}},
            "variants.vgg-mine.perceptual: mine is precomputed",
        ),
        "templates as the identity of pictures": (
            {
                "variants.mine-vgg": {
                    "template": "mine",
                    "perceptual": "vgg",
                    "identity": "mine",
                    "loss": {"identity": 0.1},
                }
            },
            "variants.mine-vgg.identity: mine is precomputed",
        ),
        "a network with precomputed weights": ({"recognizers.mine": {"architecture": "vgg16"}}, "recognizers.mine: "),
        "precomputed with a network's weights": ({"import_recognizer.mine": {"weights": "x.h5"}}, "recognizers.mine: "),
        "options of no network": ({"recognizers.mine.options": {"layer": "fc7"}}, "recognizers.mine.options"),
        "templates of no data set": (
            {"import_recognizer.mine.templates.lfw": "x.h5"},
            "import_recognizer.mine.templates: no data set",
        ),
        "no file of a data set": ({"import_recognizer.mine.templates.orl": ""}, "import_recognizer.mine.templates.orl"),
        "nothing to learn decoders from": (
            {"import_recognizer.mine.templates.synthetic": ...},
            "set roles.decoders to one of orl",
        ),
        "a teacher without templates": (
            {
                "train_recognizer.vgg.teacher": "mine",
                "train_recognizer.vgg.dataset": "orl",
                "import_recognizer.mine.templates.orl": ...,
            },
            "train_recognizer.vgg.teacher: mine has no templates of orl",
        ),
    }.items()
}


def test_a_recognizer_of_templates_alone(changed):
    params = load_params(changed(PRECOMPUTED | {"train_recognizer.vgg.teacher": "mine"}))
    assert params.entry("import_recognizer", "mine").templates == TEMPLATES
    assert params.entry("recognizers", "mine").options == {}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_file_and_key(changed, mistake):
    changes, named = MISTAKES[mistake]
    path = changed(changes)
    with pytest.raises(DfdError) as error:
        load_params(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and named in message and "\n" not in message


@pytest.mark.parametrize(
    "content",
    [b"", b"- a\n- b\n", b"42\n", b"a: [1\nb: 2\n", b"seed: 1\nseed: 2\n", b"\xff\xfe\x00", b"a:\tb: c", b"[" * 2000],
)
def test_what_is_no_mapping_or_no_yaml(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(DfdError) as error:
        load_params(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DfdError, match="nowhere.yaml"):
        load_params(tmp_path / "nowhere.yaml")
    with pytest.raises(DfdError, match="cannot be read"):
        load_params(tmp_path)


def test_several_mistakes_are_all_told(changed):
    with pytest.raises(DfdError, match=r"seed.*decoder\.depth|decoder\.depth.*seed"):
        load_params(changed({"seed": -1, "decoder.depth": 3}))


def test_an_unknown_entry_is_named_with_those_there_are():
    with pytest.raises(DfdError, match=r"variants has no vgg; there are vgg-vgg"):
        load_params(SHIPPED).entry("variants", "vgg")


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        load_params(SHIPPED).seed = 3


def test_without_local_terms_their_weights_are_zero(changed):
    weights = load_params(changed({"loss.local": False, "loss.pixel": 2.0, "loss.perceptual": 1.0})).loss.weights()
    local = {"local_pixel": 0, "local_gradient": 0, "local_perceptual": 0}
    beyond = {"chroma": 0, "identity": 0}  # of Eq. 2
    assert weights == {"pixel": 2, "gradient": 1, "perceptual": 1} | local | beyond
    weights = load_params(changed({"loss.local": True})).loss.weights()
    assert {term for term, weight in weights.items() if weight == 0} == set(beyond)


def test_a_variants_own_losses_replace_those_of_all(changed):
    own = {"gradient": 2.0, "chroma": 20.0, "identity": 0.1, "local": False}
    variant = {"template": "resnet", "perceptual": "vgg", "identity": "resnet", "loss": own}
    params = load_params(changed({"variants.resnet-white-box": variant}))
    assert params.loss_of("vgg-vgg") == params.loss
    loss = params.loss_of("resnet-white-box")
    assert loss.model_dump() == params.loss.model_dump() | own
    assert loss.weights()["identity"] == 0.1 and loss.weights()["local_pixel"] == 0


def test_a_variants_own_training_replaces_that_of_all(changed):
    own = {"epochs": 40, "noise": 0.2}
    variant = {"template": "resnet", "perceptual": "vgg", "training": own}
    params = load_params(changed({"variants.long": variant}))
    assert params.training_of("vgg-vgg") == params.train_decoder
    assert params.training_of("long").model_dump() == params.train_decoder.model_dump() | own
    with pytest.raises(DfdError, match=r"variants\.long\.training"):
        load_params(changed({"variants.long": variant | {"training": {"epochs": 0}}}))


def test_the_other_architectures_options_are_known(changed):
    assert load_params(changed(INVERTED_VGG)).decoder.options["channels"] == [8] * 5


def test_decoders_are_those_trained_here_and_those_imported(changed):
    imported = {"a": {"weights": "x", "template": "vgg"}}
    params = load_params(changed({"import_decoder": imported, "experiments.adapters.decoder": "a"}))
    assert params.decoders == {name: variant.template for name, variant in params.variants.items()} | {"a": "vgg"}


# Profiles


def profile(tmp_path, text: str) -> Path:
    path = tmp_path / "profile.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_profile_changes_not_a_character(tmp_path):
    text, changes = patched(profile(tmp_path, "{}"), SHIPPED)
    assert text == SHIPPED.read_text(encoding="utf-8") and changes == {}


def test_a_profile_replaces_adds_and_removes(tmp_path):
    patch = "decoder: {size: 112, architecture: residual}\nvariants:\n  vgg-vgg: null\n  new: {template: vgg, perceptual: vgg}\nseed: 0\n"
    text, changes = patched(profile(tmp_path, patch), SHIPPED)
    assert changes["decoder.size"] == (56, 112) and changes["variants.vgg-vgg"][1] is None
    assert set(changes) == {"decoder.size", "variants.vgg-vgg", "variants.new"}  # what it only repeats is no change
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    params = load_params(tmp_path / "params.yaml")
    assert params.decoder.size == 112 and "new" in params.variants and "vgg-vgg" not in params.variants
    assert "# pixels: 7 to 13, doubled; 224 in the paper" in text


@pytest.mark.parametrize(
    "text, named", [("decoder: {depth: 3}", "decoder.depth"), ("- 1", "mapping"), ("", "empty"), ("a: [", "YAML")]
)
def test_a_wrong_profile_is_named(tmp_path, text, named):
    with pytest.raises(DfdError, match=f"profile.yaml.*{named}"):
        patched(profile(tmp_path, text), SHIPPED)


@pytest.mark.parametrize("content", ["", "- a\n", "42\n"])
def test_what_a_profile_changes_is_a_mapping(tmp_path, content):
    (tmp_path / "params.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(DfdError, match="params.yaml: empty, or no mapping"):
        patched(profile(tmp_path, "seed: 1"), tmp_path / "params.yaml")


@pytest.mark.parametrize("path", sorted((SHIPPED.parent / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_profiles_are_patches_of_the_shipped_params(path, tmp_path):
    text, changes = patched(path, SHIPPED)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert changes and load_params(tmp_path / "params.yaml")


def test_the_ablation_is_table_1():
    """The paper's eight rows; a row has the weights of `loss` for its terms, and none for others."""
    params = load_params(SHIPPED)
    rows = {name: (row.terms, row.local) for name, row in params.experiments.ablation.losses.items()}
    assert rows == {
        "full": (["pixel", "gradient", "perceptual"], True),
        "global": (["pixel", "gradient", "perceptual"], False),
        "pixel-gradient": (["pixel", "gradient"], False),
        "pixel-perceptual": (["pixel", "perceptual"], False),
        "gradient-perceptual": (["gradient", "perceptual"], False),
        "perceptual": (["perceptual"], False),
        "pixel": (["pixel"], False),
        "gradient": (["gradient"], False),
    }
    for row in params.experiments.ablation.losses.values():
        part = row.applied_to(params.loss.model_copy(update={"local": False, "chroma": 1.0, "identity": 1.0}))
        assert part.perceptual_share == (1 if row.terms == ["perceptual"] else params.loss.perceptual_share)
        for term, weight in part.weights().items():
            kept = term.removeprefix("local_") in row.terms and (row.local or not term.startswith("local_"))
            assert weight == (getattr(params.loss, term) if kept else 0), term


def test_epochs_are_shared_out_to_phases():
    params = load_params(SHIPPED)
    decoders, ours = params.experiments.competitors.decoders, params.train_decoder.model_copy(update={"epochs": 5})
    assert decoders["inverted-vgg"].training is None  # as ours
    nbnet, residual = (decoders[name].training for name in ("nbnet", "residual-deconvolution"))
    rate, later = nbnet.learning_rate, nbnet.perceptual_learning_rate
    assert rate != later

    def shared(training, *phases):
        by_phase = training.by_phase(phases, ours)
        for settings in by_phase.values():
            assert (settings.patience, settings.batch_size) == (ours.patience, training.batch_size)
            assert settings.schedule == training.schedule
            assert (settings.weight_decay, settings.averaging, settings.clip) == (0, 0, 0)  # as published
        return {phase: (settings.epochs, settings.learning_rate) for phase, settings in by_phase.items()}

    assert shared(nbnet, "pixel", "perceptual") == {"pixel": (4, rate), "perceptual": (1, later)}
    assert shared(nbnet, "pixel") == {"pixel": (5, rate)}  # nothing to learn features from
    assert shared(residual, "all") == {"all": (5, residual.learning_rate)}
    same = nbnet.model_copy(update={"perceptual_learning_rate": None})
    assert shared(same, "pixel", "perceptual")["perceptual"] == (1, rate)


def test_params_are_read_without_what_they_set():
    """The command line's help, and every stage, read params first: no room's settings may import what takes seconds."""
    code = "import sys, dfd.params; print({'torch', 'numpy', 'pandas', 'h5py'} & set(sys.modules) or 'light')"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "light\n"
