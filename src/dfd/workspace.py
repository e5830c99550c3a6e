"""The door to a project's recognizers and decoders: what the pipeline wrote, or else what was released or published."""

from functools import cached_property
from pathlib import Path

import torch

from dfd.core.artefacts import read_config
from dfd.core.devices import pick_device
from dfd.core.errors import DfdError
from dfd.decoder.base import Decoder
from dfd.decoder.provenance import refuse_other_faces
from dfd.decoder.registry import load_decoder
from dfd.params import Params, load_params
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.recognizers.precomputed import PRECOMPUTED
from dfd.recognizers.registry import PUBLISHED, import_recognizer, load_recognizer, refuse_other_options, weights_sha256
from dfd.weights.downloads import fetch
from dfd.weights.manifest import MANIFEST

# Where the pipeline leaves what is used here (dvc.yaml).
RECOGNIZER = "data/recognizers/{}.safetensors"
DECODER = "data/decoders/{}.safetensors"
FACES = "data/faces/{}.h5"


class Workspace:
    """The project in the current folder. Decoders and recognizers are opened by name, on the device of the params.

    `Workspace().decoder("resnet-identity")` gives faces (N, 3, size, size) for templates (N, D).
    """

    def __init__(self, params: Params | None = None):
        self.params = load_params() if params is None else params
        self._recognizers: dict[str, Recognizer] = {}

    @cached_property
    def device(self) -> torch.device:
        return pick_device(self.params.device)

    def decoder(self, name: str) -> Decoder:
        """A variant's decoder, or an imported one: as the pipeline wrote it, or else as it was released.

        Raises DfdError for an unknown name, and where there is neither file.
        """
        return load_decoder(self.decoder_file(name), self.device)

    def decoder_file(self, name: str) -> Path:
        """Where a decoder is read from, whether or not it is there. Raises DfdError for an unknown name."""
        self.params.entry("decoders", name)
        written = Path(DECODER.format(name))
        if written.is_file() or name not in self.params.import_decoder:
            return written
        return Path(self.params.import_decoder[name].weights).expanduser()

    def decoders_at_hand(self) -> list[str]:
        """The names of the imported decoders whose files are there; where none are, of the trained ones.

        Raises DfdError where there are none at all.
        """
        for names in (self.params.import_decoder, self.params.variants):
            if there := [name for name in names if self.decoder_file(name).is_file()]:
                return there
        looked = ", ".join(str(self.decoder_file(name)) for name in self.params.decoders) or "params name none"
        raise DfdError(f"no decoder is here ({looked}); get the released files, or run `dvc repro`")

    def recognizer(self, name: str) -> Recognizer:
        """A recognizer that can embed photos, placed in faces of the params' geometry: as the pipeline wrote it, or else
        read from its published weights.

        Raises DfdError for an unknown name, where it can be had neither way, and for a file that was made with other
        options than the params'.
        """
        if name not in self._recognizers:
            self._recognizers[name] = self._open(name)
        return self._recognizers[name]

    def recognizers_at_hand(self) -> list[str]:
        """The names of the recognizers that can embed photos and whose files are there, or published in a package."""
        found = []
        for name, network in self.params.recognizers.items():
            imported = self.params.import_recognizer.get(name)
            published = imported is not None and (
                imported.weights in PUBLISHED or Path(imported.weights).expanduser().is_file()
            )
            if network.architecture != PRECOMPUTED and (Path(RECOGNIZER.format(name)).is_file() or published):
                found.append(name)
        return found

    def _open(self, name: str) -> Recognizer:
        network, path = self.params.entry("recognizers", name), Path(RECOGNIZER.format(name))
        if network.architecture == PRECOMPUTED:
            raise DfdError(f"recognizer {name}: {NO_IMAGES}; decode its templates with `dfd decode`")
        if path.is_file():
            refuse_other_options(
                read_config(path), network.architecture, network.options, f"{path}, which `dvc repro` writes anew"
            )
        elif name in self.params.import_recognizer:
            weights = self.params.import_recognizer[name].weights
            source = str(fetch(weights)) if weights in MANIFEST else weights
            module = import_recognizer(network.architecture, network.options, source).place(self.params.faces.geometry)
            return module.requires_grad_(False).to(self.device, memory_format=torch.channels_last)
        return load_recognizer(path, self.device, self.params.faces.geometry)

    def pair(self, name: str) -> tuple[Recognizer, Decoder]:
        """A decoder, and the recognizer whose templates it decodes. Raises DfdError where they do not belong together."""
        template = self.params.entry("decoders", name)
        decoder, recognizer = self.decoder(name), self.recognizer(template)
        where = str(self.decoder_file(name))
        refuse_other_faces(decoder.config, where, template, weights_sha256(recognizer), self.params.faces.geometry)
        return recognizer, decoder
