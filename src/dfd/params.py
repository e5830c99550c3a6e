"""params.yaml, assembled from the settings of every room: the only place that reads it.

Each room checks its own settings; what is checked here is that they fit each other.
"""

import functools
import io
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dfd.core.errors import DfdError
from dfd.core.settings import Count, Name, Processes, Seed, Settings, problems, validated
from dfd.decoder.settings import OPTIONS as DECODER_OPTIONS
from dfd.decoder.settings import ClosedForm, Decoder, ImportDecoder
from dfd.faces.settings import Faces
from dfd.findings.settings import Findings
from dfd.learning.phases import PHASES
from dfd.learning.settings import Loss, TrainDecoder, TrainRecognizer, Variant
from dfd.photos.settings import Dataset
from dfd.recognizers.settings import OPTIONS as RECOGNIZER_OPTIONS
from dfd.recognizers.settings import PRECOMPUTED, ImportRecognizer, Recognizer
from dfd.studies.attack.settings import Attacks
from dfd.studies.disentangling.settings import Disentangling
from dfd.studies.equivariance.settings import Transforms, Verify
from dfd.studies.inversion.settings import Adapters, Inversion
from dfd.studies.occlusion.settings import Occlusions
from dfd.studies.people.settings import Aggregation, Clusters
from dfd.studies.reconstruction.settings import (
    Ablation,
    Competitors,
    Evaluate,
    RecognizerLoss,
    Reconstruct,
    TemplateLayer,
)


class Roles(Settings):
    decoders: str
    verification: str
    allow_leakage: bool


class Experiments(Settings):
    max_faces: Count
    ablation: Ablation
    recognizer_loss: RecognizerLoss
    template_layer: TemplateLayer
    competitors: Competitors
    adapters: Adapters
    findings: Findings


class Params(Settings):
    seed: Seed
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$")]
    precision: Literal["auto", "float32", "bfloat16"]
    memory_gb: Annotated[float, Field(ge=0, le=1e6)]
    processes: Processes
    bootstrap: Annotated[int, Field(ge=100, le=10**6)]
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    roles: Roles
    faces: Faces
    recognizers: Annotated[dict[Name, Recognizer], Field(min_length=1)]
    import_recognizer: dict[str, ImportRecognizer]
    train_recognizer: dict[str, TrainRecognizer]
    variants: dict[Name, Variant]
    import_decoder: dict[Name, ImportDecoder]
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
    inversion: Inversion
    experiments: Experiments

    def entry(self, section: str, name: str):
        """The entry `name` of a section (of a part of one: `a.b.c`) that is a dictionary. Raises DfdError where there is none."""
        if section == "decoders":  # of two sections, of which a stage reads, and declares, its own entry alone
            for decoders in (self.variants, self.import_decoder):
                if name in decoders:
                    return decoders[name].template
        entries = functools.reduce(getattr, section.split("."), self)
        if name not in entries:
            raise DfdError(f"params.yaml: {section} has no {name}; there are {', '.join(entries)}")
        return entries[name]

    def loss_of(self, variant: str) -> Loss:
        """The losses that a variant is trained with: `loss` with the variant's own entries. Raises ValueError for a wrong one."""
        return validated(Loss, self.loss.model_dump() | self.variants[variant].loss, f"variants.{variant}.loss")

    def training_of(self, variant: str) -> TrainDecoder:
        """How a variant is trained: `train_decoder` with the variant's own entries. Raises ValueError for a wrong one."""
        ours = self.train_decoder.model_dump() | self.variants[variant].training
        return validated(TrainDecoder, ours, f"variants.{variant}.training")

    @property
    def decoders(self) -> dict[str, str]:
        """The recognizer whose templates it decodes, by decoder: of the trained variants, and of the imported ones."""
        every = self.variants | self.import_decoder
        return {name: decoder.template for name, decoder in every.items()}

    @model_validator(mode="after")
    def _recognizers_have_one_origin(self):
        for name in self.recognizers:
            if (name in self.import_recognizer) == (name in self.train_recognizer):
                raise ValueError(f"recognizer {name} must be in exactly one of import_recognizer and train_recognizer")
        return self

    @model_validator(mode="after")
    def _named_recognizers_exist(self):
        named = [(f"import_recognizer.{name}", name) for name in self.import_recognizer]
        named += [(f"train_recognizer.{name}", name) for name in self.train_recognizer]
        named += [(f"train_recognizer.{name}.teacher", train.teacher) for name, train in self.train_recognizer.items()]
        for key, variant in self.variants.items():
            named += [
                (f"variants.{key}.template", variant.template),
                (f"variants.{key}.perceptual", variant.perceptual),
            ]
            named += [(f"variants.{key}.identity", variant.identity)] if variant.identity else []
        named += [
            (f"import_decoder.{key}.template", imported.template) for key, imported in self.import_decoder.items()
        ]
        for where, name in named:
            _known(where, name, "recognizer", self.recognizers)
        return self

    @model_validator(mode="after")
    def _named_datasets_exist(self):
        named = [("roles.decoders", self.roles.decoders), ("roles.verification", self.roles.verification)]
        named += [(f"train_recognizer.{name}.dataset", train.dataset) for name, train in self.train_recognizer.items()]
        for where, name in named:
            _known(where, name, "data set", self.datasets)
        return self

    @model_validator(mode="after")
    def _teachers_are_others(self):
        for name, train in self.train_recognizer.items():
            if train.teacher == name:
                raise ValueError(f"train_recognizer.{name}.teacher: a recognizer cannot be its own teacher")
        return self

    @model_validator(mode="after")
    def _decoders_have_one_origin(self):
        if not self.decoders:
            raise ValueError("variants and import_decoder are both empty; name a decoder to train or to import")
        for key in self.variants:
            if key in self.import_decoder:
                raise ValueError(
                    f"{key} is in both variants and import_decoder: a decoder is either trained or imported"
                )
        return self

    @model_validator(mode="after")
    def _identity_losses_have_recognizers(self):
        for key, variant in self.variants.items():
            self.training_of(key)  # a wrong entry is an error here
            if self.loss_of(key).identity and not variant.identity:
                raise ValueError(f"variants.{key}: loss.identity is not 0, so it needs `identity`, a recognizer")
        return self

    @model_validator(mode="after")
    def _precomputed_and_weights_go_together(self):
        for name, recognizer in self.recognizers.items():
            imported = self.import_recognizer.get(name)
            if (recognizer.architecture == PRECOMPUTED) != (imported is not None and imported.weights == PRECOMPUTED):
                raise ValueError(
                    f"recognizers.{name}: `architecture: {PRECOMPUTED}` and `import_recognizer.{name}.weights: {PRECOMPUTED}` go together"
                )
        return self

    @model_validator(mode="after")
    def _precomputed_templates_suffice(self):
        """A recognizer that is templates alone computes none: what needs that is refused here, not hours later."""
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
            for part in ("perceptual", "identity"):
                if (name := getattr(variant, part)) in given:
                    raise ValueError(
                        f"variants.{key}.{part}: {name} is {PRECOMPUTED}, templates without a network; name another"
                    )
        for name, train in self.train_recognizer.items():
            if train.objective == "distil" and train.dataset not in given.get(train.teacher, {train.dataset: ""}):
                raise ValueError(
                    f"train_recognizer.{name}.teacher: {train.teacher} has no templates of {train.dataset}"
                )
        return self

    @model_validator(mode="after")
    def _options_are_of_the_architecture(self):
        """Of decoders, ours and the competitors, and of recognizers."""
        recognizers = RECOGNIZER_OPTIONS | {PRECOMPUTED: Settings}
        networks = [("decoder", self.decoder, DECODER_OPTIONS)]
        networks += [("experiments.recognizer_loss", self.experiments.recognizer_loss, RECOGNIZER_OPTIONS)]
        networks += [(f"recognizers.{name}", network, recognizers) for name, network in self.recognizers.items()]
        for where, network, known in networks:
            _known(f"{where}.architecture", network.architecture, "architecture", known)
            validated(known[network.architecture], network.options, f"{where}.options")
        for name, competitor in self.experiments.competitors.decoders.items():
            where = f"experiments.competitors.decoders.{name}.options"
            validated(DECODER_OPTIONS[name], competitor.options, where)
        return self

    @model_validator(mode="after")
    def _competitors_training_fits_their_phases(self):
        for name, competitor in self.experiments.competitors.decoders.items():
            if competitor.training is None:
                continue
            where = f"experiments.competitors.decoders.{name}.training"
            if name not in PHASES:
                raise ValueError(f"{where}: it was published with the losses that are ours; leave `training` out")
            variants = [key for key in self.experiments.competitors.variants if key in self.variants]
            try:
                for ours in [self.train_decoder, *map(self.training_of, variants)]:
                    competitor.training.refuse_unfit(list(PHASES[name]), ours.epochs)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
        return self

    @model_validator(mode="after")
    def _verified_conditions_have_maps(self):
        turn, step = self.verify.rotate, self.transforms.rotate
        if turn % step or turn == 0 or not -180 < turn <= 180 or self.verify.scale not in self.transforms.scale:
            raise ValueError("verify: its rotation and scale must be among those of transforms")
        return self

    @model_validator(mode="after")
    def _experiments_are_on_what_exists(self):
        experiments = self.experiments
        losses, layers, adapters = experiments.recognizer_loss, experiments.template_layer, experiments.adapters
        named = [
            ("recognizer_loss.dataset", [losses.dataset], "data set", self.datasets),
            ("recognizer_loss.perceptual", [losses.perceptual], "recognizer", self.recognizers),
            ("template_layer.recognizer", [layers.recognizer], "recognizer", self.recognizers),
            ("template_layer.perceptual", [layers.perceptual], "recognizer", self.recognizers),
            ("adapters.recognizers", adapters.recognizers, "recognizer", self.recognizers),
            ("adapters.decoder", [adapters.decoder], "decoder", self.decoders),
        ]
        if self.variants:  # without any, there are no experiments on them, and no name to give
            named += [
                ("ablation.variant", [experiments.ablation.variant], "variant", self.variants),
                ("competitors.variants", experiments.competitors.variants, "variant", self.variants),
            ]
        for where, names, kind, known in named:
            for name in names:
                _known(f"experiments.{where}", name, kind, known)
        return self


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


def _read(path: str | Path, yaml: YAML) -> dict:
    try:
        values = yaml.load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError, RecursionError) as error:
        raise DfdError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise DfdError(f"{path}: empty, or no mapping of names to values, as the shipped params.yaml is")
    return values


def _checked(values, path: str | Path) -> Params:
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise DfdError(f"{path}: {problems(error)}") from error
