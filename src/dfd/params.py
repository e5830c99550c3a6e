"""params.yaml as frozen models: the only place that reads it."""

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dfd.core.errors import DfdError

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    """A section of params.yaml: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


PRECOMPUTED = "precomputed"  # the architecture and the weights of a recognizer that is templates alone

# source -> what its data sets cannot do without
NEEDED = {
    "synthetic": {"faces": "their number"},
    "folder": {"path": "an archive or a folder of photos"},
    "vggface2": {"path": "an archive or a folder of its photos"},
    "celeba": {"path": "an archive or a folder of its photos", "identities": "the file that says who they show"},
    "celeba-hq": {"path": "an archive or a folder of its photos", "identities": "the file that says who they show"},
}


class Dataset(Settings):
    source: str
    faces: Count | None = None
    path: Text | None = None
    identities: Text | None = None
    attributes: Text | None = None
    pairs: Text | None = None
    test_folds: list[Count] = []
    split: dict[Literal["train", "validation", "test"], Share]

    @model_validator(mode="after")
    def _shares_sum_to_one(self):
        if abs(sum(self.split.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of `split` sum to {sum(self.split.values()):g}, not to 1")
        for name, what in NEEDED.get(self.source, {}).items():
            if getattr(self, name) is None:
                raise ValueError(f"a {self.source} data set needs `{name}`, {what}")
        if self.test_folds and self.pairs is None:
            raise ValueError("`test_folds` are folds of `pairs`, which is not given")
        return self


class Roles(Settings):
    decoders: str
    verification: str
    allow_leakage: bool


class Faces(Settings):
    geometry: Literal["portrait", "aligned", "box"]
    size: Annotated[int, Field(ge=16)]
    context: Annotated[float, Field(ge=1)]
    fill: Literal["edge", "black", "reflect"]
    select: Literal["largest", "central"]
    min_probability: Share
    min_face: Annotated[float, Field(gt=0, le=1)]
    detection_sides: Annotated[list[Count], Field(min_length=2, max_length=2)]
    max_megapixels: Positive
    min_side: Count

    @model_validator(mode="after")
    def _sides_ascend(self):
        if self.detection_sides[0] > self.detection_sides[1]:
            raise ValueError(f"`detection_sides` are the least and the most pixels, not {self.detection_sides}")
        return self


class Recognizer(Settings):
    architecture: str
    options: dict[str, Any] = {}


class ImportRecognizer(Settings):
    weights: str
    templates: Annotated[dict[str, Text], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _templates_are_precomputed(self):
        if (self.weights == PRECOMPUTED) != (self.templates is not None):
            raise ValueError(f"`templates`, a file for each data set, and `weights: {PRECOMPUTED}` go together")
        return self


class TrainRecognizer(Settings):
    dataset: str
    objective: Literal["softmax", "arcface", "distil"]
    teacher: str
    margin: NonNegative
    arcface_scale: Positive
    epochs: Count
    triplet_epochs: Annotated[int, Field(ge=0)]
    triplet_margin: Positive
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive

    @model_validator(mode="after")
    def _triplets_need_labels(self):
        if self.objective == "distil" and self.triplet_epochs:
            raise ValueError("a triplet loss needs labelled identities: objective softmax or arcface")
        return self


class Variant(Settings):
    template: str
    perceptual: str
    identity: str | None = None
    loss: dict[str, Any] = {}


class ImportDecoder(Settings):
    weights: Text
    template: str
    adapter: Text | None = None


class ResidualOptions(Settings):
    hidden: Count
    rank: Count
    channels: Count
    axes: Annotated[int, Field(ge=0)]


class InvertedVGGOptions(Settings):
    width: Positive
    hidden: Count
    channels: Annotated[list[Count], Field(min_length=5, max_length=5)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    normalise: Literal["none", "batch", "group"]
    output: Literal["linear", "bounded"]


class CompetitorOptions(Settings):
    width: Positive


# architecture -> its options in params.yaml, beside the size
OPTIONS: dict[str, type[Settings]] = {
    "residual": ResidualOptions,
    "inverted-vgg": InvertedVGGOptions,
    "nbnet": CompetitorOptions,
    "residual-deconvolution": CompetitorOptions,
}


class Decoder(Settings):
    architecture: str
    size: Count
    options: dict[str, Any] = {}


class ClosedForm(Settings):
    axes: Annotated[int, Field(ge=0)]


class Loss(Settings):
    pixel: NonNegative
    gradient: NonNegative
    perceptual: NonNegative
    local: bool
    local_pixel: NonNegative
    local_gradient: NonNegative
    local_perceptual: NonNegative
    chroma: NonNegative
    identity: NonNegative
    person: bool
    perceptual_share: Annotated[float, Field(gt=0, le=1)]
    features: Literal["balanced", "raw"]

    def weights(self) -> dict[str, float]:
        """λ by term; `local: false` sets those of the local terms to zero."""
        terms = self.model_dump(exclude={"local", "person", "features", "perceptual_share"})
        return {term: 0.0 if term.startswith("local_") and not self.local else weight for term, weight in terms.items()}


class TrainDecoder(Settings):
    epochs: Count
    patience: Count
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive
    weight_decay: NonNegative
    schedule: Literal["one-cycle", "constant"]
    averaging: Annotated[float, Field(ge=0, lt=1)]
    clip: NonNegative


class Transforms(Settings):
    faces: Count
    held_out: Count
    rotate: Annotated[int, Field(ge=1, le=180)]
    translate: Annotated[float, Field(gt=0, le=0.5)]
    scale: list[Positive]


class Evaluate(Settings):
    faces: Count
    storage_faces: Count
    far: Annotated[float, Field(gt=0, lt=1)]
    bootstrap: Annotated[int, Field(ge=100)]


class Verify(Settings):
    rotate: int
    translate: Literal["left", "right", "up", "down"]
    scale: Positive
    photos: Annotated[int, Field(ge=2)]


class CwL2(Settings):
    pairs: Count
    searches: Count
    iterations: Count
    initial: Positive
    learning_rate: Positive
    confidence: NonNegative


GreyLevels = Annotated[float, Field(gt=0, le=255)]


class Attacks(Settings):
    people: Annotated[int, Field(ge=2)]
    photos: Annotated[int, Field(ge=4)]
    enrol: Annotated[float, Field(gt=0, lt=1)]
    epsilon: GreyLevels
    pairs: Count
    cw_l2: CwL2
    matching_pairs: Count
    epsilons: list[GreyLevels]


class Reconstruct(Settings):
    faces: Count


class Occlusions(Settings):
    regions: Annotated[list[Text], Field(min_length=1)]
    shade: Share
    faces: Count
    shown: Count


class Clusters(Settings):
    count: Annotated[int, Field(ge=2)]
    people: Count


class Aggregation(Settings):
    counts: Annotated[list[Count], Field(min_length=1)]
    people: Annotated[int, Field(ge=2)]
    probes: Count
    draws: Annotated[int, Field(ge=2, multiple_of=2)]
    decoded_draws: Count
    shown: Count

    @model_validator(mode="after")
    def _counts_ascend(self):
        if sorted(set(self.counts)) != self.counts:
            raise ValueError(f"`counts` must ascend, not {self.counts}")
        if self.decoded_draws > self.draws:
            raise ValueError(f"`decoded_draws` ({self.decoded_draws}) are of the {self.draws} `draws`")
        return self


class Disentangling(Settings):
    attribute_size: Count
    hidden: Count
    training_faces: Count
    steps: Annotated[int, Field(ge=10)]
    batch_size: Annotated[int, Field(ge=4)]
    learning_rate: Positive
    weight: NonNegative
    faces: Count
    cosine_faces: Count
    shown: Count


class LossTerms(Settings):
    terms: Annotated[list[Literal["pixel", "gradient", "perceptual"]], Field(min_length=1)]
    local: bool

    def weights(self, loss: Loss) -> dict[str, float]:
        """λ by term: those of `loss`, zero for the terms that are left out."""
        kept = {*self.terms, *(f"local_{term}" for term in self.terms if self.local)}
        every = loss.model_copy(update={"local": True}).weights()
        return {term: weight if term in kept else 0.0 for term, weight in every.items()}


class Ablation(Settings):
    variant: str
    epochs: Count
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    losses: Annotated[dict[str, LossTerms], Field(min_length=1)]


class RecognizerLoss(Settings):
    dataset: str
    train: Annotated[float, Field(gt=0, lt=1)] | None = None
    architecture: str
    options: dict[str, Any] = {}
    objectives: Annotated[list[Literal["softmax", "arcface"]], Field(min_length=1)]
    margin: NonNegative
    arcface_scale: Positive
    recognizer_epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive
    perceptual: str
    epochs: Count


class TemplateLayer(Settings):
    recognizer: str
    layers: Annotated[list[str], Field(min_length=1)]
    perceptual: str
    epochs: Count


class CompetitorTraining(Settings):
    perceptual_epochs: Annotated[int, Field(ge=0)] = 0
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive
    perceptual_learning_rate: Positive | None = None
    beta1: Annotated[float, Field(ge=0, lt=1)]
    schedule: Literal["one-cycle", "constant", "halving"]

    def epochs_and_rates(self, phases: Sequence[str], epochs: int) -> dict[str, tuple[int, float]]:
        """The epochs, of `epochs` in all, and the learning rate of one phase, or of two, the second being the perceptual one.

        Raises DfdError where the perceptual epochs leave none for the first.
        """
        if len(phases) == 1:
            return {phases[0]: (epochs, self.learning_rate)}
        if self.perceptual_epochs >= epochs:
            raise DfdError(
                f"params.yaml: perceptual_epochs are the last of train_decoder.epochs, {epochs}: {self.perceptual_epochs} are too many"
            )
        return {
            phases[0]: (epochs - self.perceptual_epochs, self.learning_rate),
            phases[1]: (self.perceptual_epochs, self.perceptual_learning_rate or self.learning_rate),
        }


class Competitor(Settings):
    """options: of the architecture, beside the size. training: with the losses that it was published with; without it a
    decoder learns as ours do, from their losses."""

    options: dict[str, Any]
    training: CompetitorTraining | None = None


class Competitors(Settings):
    variants: Annotated[list[str], Field(min_length=1)]
    far: Annotated[float, Field(gt=0, lt=1)]
    decoders: dict[Literal["inverted-vgg", "nbnet", "residual-deconvolution"], Competitor]


class Adapters(Settings):
    decoder: str
    recognizers: Annotated[list[str], Field(min_length=1)]
    pairs: Annotated[list[Annotated[int, Field(ge=20)]], Field(min_length=1)]
    faces: Count


class Findings(Settings):
    psnr_margin: Positive
    rate_margin: Annotated[float, Field(gt=0, lt=1)]


class Experiments(Settings):
    """What these name is looked up by the stages that need it: the root's pipeline runs without it."""

    faces: Count
    ablation: Ablation
    recognizer_loss: RecognizerLoss
    template_layer: TemplateLayer
    competitors: Competitors
    adapters: Adapters
    findings: Findings


class Params(Settings):
    seed: Annotated[int, Field(ge=0)]
    device: str
    precision: Literal["auto", "float32", "bfloat16"]
    memory_gb: NonNegative
    datasets: Annotated[dict[str, Dataset], Field(min_length=1)]
    roles: Roles
    faces: Faces
    recognizers: Annotated[dict[str, Recognizer], Field(min_length=1)]
    import_recognizer: dict[str, ImportRecognizer]
    train_recognizer: dict[str, TrainRecognizer]
    variants: dict[str, Variant]
    import_decoder: dict[str, ImportDecoder]
    closed_form: ClosedForm
    decoder: Decoder
    loss: Loss
    train_decoder: TrainDecoder
    transforms: Transforms
    evaluate: Evaluate
    verify: Verify
    attacks: Attacks
    reconstruct: Reconstruct
    occlusions: Occlusions
    clusters: Clusters
    aggregation: Aggregation
    disentangling: Disentangling
    experiments: Experiments

    def entry(self, section: str, name: str):
        """The entry `name` of a section (of a part of one: `a.b.c`) that is a dictionary. Raises DfdError where there is none."""
        entries = functools.reduce(getattr, section.split("."), self)
        if name not in entries:
            raise DfdError(f"params.yaml: {section} has no {name}; there are {', '.join(entries)}")
        return entries[name]

    def loss_of(self, variant: str) -> Loss:
        """The losses that a variant is trained with: `loss`, with the variant's own entries. Raises ValueError for a wrong one."""
        return _validated(Loss, self.loss.model_dump() | self.variants[variant].loss, f"variants.{variant}.loss")

    @property
    def decoders(self) -> dict[str, str]:
        """The recognizer whose templates it decodes, by decoder: of the trained variants, and of the imported ones."""
        every = self.variants | self.import_decoder
        return {name: decoder.template for name, decoder in every.items()}

    @model_validator(mode="after")
    def _names_exist(self):
        for name in self.recognizers:
            if (name in self.import_recognizer) == (name in self.train_recognizer):
                raise ValueError(f"recognizer {name} must be in exactly one of import_recognizer and train_recognizer")
        named = [(f"import_recognizer.{name}", name) for name in self.import_recognizer]
        named += [(f"train_recognizer.{name}", name) for name in self.train_recognizer]
        named += [(f"train_recognizer.{n}.teacher", t.teacher) for n, t in self.train_recognizer.items()]
        for name, train in self.train_recognizer.items():
            if train.teacher == name:
                raise ValueError(f"train_recognizer.{name}.teacher: a recognizer cannot be its own teacher")
        for key, variant in self.variants.items():
            named += [
                (f"variants.{key}.template", variant.template),
                (f"variants.{key}.perceptual", variant.perceptual),
            ]
            named += [(f"variants.{key}.identity", variant.identity)] if variant.identity else []
            if key in self.import_decoder:
                raise ValueError(
                    f"{key} is in both variants and import_decoder: a decoder is either trained or imported"
                )
            if self.loss_of(key).identity and not variant.identity:
                raise ValueError(f"variants.{key}: loss.identity is not 0, so it needs `identity`, a recognizer")
            if self.loss_of(key).person and variant.identity not in (None, variant.template):
                raise ValueError(
                    f"variants.{key}: loss.person aims at templates, so `identity` is to be {variant.template}"
                )
        named += [
            (f"import_decoder.{key}.template", imported.template) for key, imported in self.import_decoder.items()
        ]
        for where, name in named:
            _known(where, name, "recognizer", self.recognizers)
        named = [("roles.decoders", self.roles.decoders), ("roles.verification", self.roles.verification)]
        named += [(f"train_recognizer.{name}.dataset", train.dataset) for name, train in self.train_recognizer.items()]
        for where, name in named:
            _known(where, name, "data set", self.datasets)
        self._precomputed_fit()
        self._options_fit()
        turn, step = self.verify.rotate, self.transforms.rotate
        if turn % step or turn == 0 or not -180 < turn <= 180 or self.verify.scale not in self.transforms.scale:
            raise ValueError("verify: its rotation and scale must be among those of transforms")
        return self

    def _options_fit(self) -> None:
        """Of decoders, whose architecture decides what options they have."""
        decoders = {"decoder": (self.decoder.architecture, self.decoder.options)}
        for name, competitor in self.experiments.competitors.decoders.items():
            where = f"experiments.competitors.decoders.{name}"
            decoders[where] = (name, competitor.options)
            if competitor.training and name == "inverted-vgg":
                raise ValueError(
                    f"{where}.training: it was published with the losses that are ours; leave `training` out"
                )
        for where, (architecture, options) in decoders.items():
            if architecture in OPTIONS:
                _validated(OPTIONS[architecture], options, f"{where}.options")

    def _precomputed_fit(self) -> None:
        """A recognizer that is templates alone computes none: what needs that is refused here, not hours later."""
        for name, recognizer in self.recognizers.items():
            imported = self.import_recognizer.get(name)
            if (recognizer.architecture == PRECOMPUTED) != (imported is not None and imported.weights == PRECOMPUTED):
                raise ValueError(
                    f"recognizers.{name}: `architecture: {PRECOMPUTED}` and `import_recognizer.{name}.weights: {PRECOMPUTED}` go together"
                )
            if recognizer.architecture == PRECOMPUTED and recognizer.options:
                raise ValueError(f"recognizers.{name}.options: a {PRECOMPUTED} recognizer has none")
        given = {name: imported.templates for name, imported in self.import_recognizer.items() if imported.templates}
        for name, templates in given.items():
            for dataset in templates:
                _known(f"import_recognizer.{name}.templates", dataset, "data set", self.datasets)
            if self.roles.decoders not in templates:
                raise ValueError(
                    f"import_recognizer.{name}.templates: none of {self.roles.decoders}, from which decoders learn; "
                    f"give them, or set roles.decoders to one of {', '.join(templates)}"
                )
        for key, variant in self.variants.items():
            if variant.perceptual in given:
                raise ValueError(
                    f"variants.{key}.perceptual: {variant.perceptual} is {PRECOMPUTED}, templates without a network; name another"
                )
            if variant.identity in given:
                raise ValueError(
                    f"variants.{key}.identity: {variant.identity} is {PRECOMPUTED}, templates without a network; name another"
                )
        for name, train in self.train_recognizer.items():
            if train.objective == "distil" and train.dataset not in given.get(train.teacher, {train.dataset: ""}):
                raise ValueError(
                    f"train_recognizer.{name}.teacher: {train.teacher} has no templates of {train.dataset}"
                )


def _known(where: str, name: str, kind: str, names: dict) -> None:
    if name not in names:
        raise ValueError(f"{where}: no {kind} is called {name}; there are {', '.join(names)}")


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml. Raises DfdError naming the file, the key and what is wrong with it."""
    return _checked(_read(path, YAML(typ="safe", pure=True)), path)


def patched(profile: str | Path, path: str | Path = "params.yaml") -> tuple[str, dict[str, tuple[Any, Any]]]:
    """params.yaml with a profile's changes, comments kept: its text, and the changed keys with (old, new) values.

    profile: a YAML merge patch (RFC 7386): what it names replaces what is there, null removes it. Raises DfdError as
    `load_params` does, for either file.
    """
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 4096, True
    values, changes = _read(path, yaml), {}
    patch = _read(profile, YAML(typ="safe", pure=True))
    if not isinstance(patch, dict):
        raise DfdError(f"{profile}: a profile is a mapping like params.yaml, of what it changes")
    _merge(values, patch, "", changes)
    text = io.StringIO()
    yaml.dump(values, text)
    _checked(YAML(typ="safe", pure=True).load(text.getvalue()), profile)
    return text.getvalue(), changes


def _merge(values: dict, patch: dict, where: str, changes: dict[str, tuple[Any, Any]]) -> None:
    for key, new in patch.items():
        old, name = values.get(key), f"{where}{key}"
        if isinstance(new, dict) and isinstance(old, dict):
            _merge(old, new, f"{name}.", changes)
        elif new is None:
            if key in values:
                changes[name] = (values.pop(key), None)
        elif old != new:
            changes[name] = (old, new)
            values[key] = new


def _read(path: str | Path, yaml: YAML):
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise DfdError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error


def _checked(values, path: str | Path) -> Params:
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise DfdError(f"{path}: {_problems(error)}") from error


def _validated(model: type[Settings], values, where: str) -> Any:
    """Values as a model of their own, where another's decides which. Raises ValueError, in one line that names `where`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError(_problems(error, f"{where}.")) from error


def _problems(error: ValidationError, where: str = "") -> str:
    problems = (where + ".".join(map(str, problem["loc"])) + ": " + problem["msg"] for problem in error.errors())
    return "; ".join(problem.removeprefix(": ").replace("Value error, ", "") for problem in problems)
