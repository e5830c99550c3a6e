"""The door for users: a project's artefacts by name, those released or published where the pipeline wrote none, and photos."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dfd.core.artefacts import read_config
from dfd.core.errors import DfdError
from dfd.core.paths import DECODER, RECOGNIZER
from dfd.decoder.base import Decoder
from dfd.decoder.provenance import refuse_other_faces
from dfd.decoder.registry import decode, load_decoder
from dfd.faces.geometry import crop
from dfd.faces.store import FaceStore
from dfd.params import Params
from dfd.photos.decoding import Rejected, decode_photo, upright_rgb
from dfd.photos.detection import Detector
from dfd.photos.preprocessing import find_window
from dfd.project import Project
from dfd.recognizers.base import NO_IMAGES, Recognizer
from dfd.recognizers.registry import PUBLISHED, import_recognizer, refuse_other_options, weights_sha256
from dfd.recognizers.settings import PRECOMPUTED
from dfd.templates.embedding import embed_images
from dfd.templates.store import TemplateStore
from dfd.weights.downloads import importing

Photo = str | Path | Image.Image | np.ndarray


class Workspace(Project):
    """The project in the current folder. Everything is opened by name, and what computes is on the device of the params.

    `Workspace().decoder("resnet-identity")` gives faces (N, 3, size, size) for templates (N, D);
    `Workspace().reconstruct("anna.jpg", "resnet-identity")` the face (3, size, size) that a photo's template holds.
    """

    def __init__(self, params: Params | None = None):
        super().__init__(params)
        self._recognizers: dict[str, Recognizer] = {}

    def faces(self, dataset: str) -> FaceStore:
        """A data set's faces. Raises DfdError for an unknown name, and where the pipeline has not preprocessed it."""
        self.params.entry("datasets", dataset)
        return super().faces(dataset)

    def templates(self, dataset: str | FaceStore, recognizer: str) -> TemplateStore:
        """The templates of a data set's faces by a recognizer. Raises DfdError as `faces`."""
        self.params.entry("recognizers", recognizer)
        return super().templates(dataset, recognizer)

    def face(self, photo: Photo, size: int | None = None) -> torch.Tensor:
        """The face in a photo as the pipeline would crop it: RGB in [0, 1], (3, size, size), by default of `faces.size`.

        photo: the path of a file, an image, or an array (H, W, 3) of RGB 0–255. Raises DfdError where none is found.
        """
        settings = self.params.faces
        name = photo if isinstance(photo, str | Path) else "the photo"
        try:
            image = _opened(photo, settings.max_megapixels, settings.min_side, settings.background)
            window = find_window(image, self._detector, settings)
        except Rejected as rejected:
            raise DfdError(f"{name}: {rejected.reason}") from rejected
        pixels = crop(np.asarray(image), window, size or settings.size, 1.0, settings.fill)
        return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255

    def template(self, photo: Photo, recognizer: str) -> torch.Tensor:
        """The template (D,) of the face in a photo. Raises DfdError as `face` and `recognizer` do."""
        module = self.recognizer(recognizer)
        return embed_images(module, self.face(photo, max(self.params.faces.size, module.view_size))[None])[0]

    def reconstruct(self, photo: Photo, decoder: str) -> torch.Tensor:
        """The face (3, size, size), RGB in [0, 1], that a decoder sees in the template of a photo."""
        _, module = self.pair(decoder)
        return decode(module, self.template(photo, self.params.entry("decoders", decoder))[None])[0]

    @cached_property
    def _detector(self) -> Detector:
        settings = self.params.faces
        return Detector(tuple(settings.detection_sides), settings.min_face, self.device)

    def decoder(self, name: str) -> Decoder:
        """A variant's decoder, or an imported one: as the pipeline wrote it, or else as it was released.

        Raises DfdError for an unknown name, where there is neither file, and for a variant that was trained with other
        settings of `decoder` than the params'.
        """
        path = self.decoder_file(name)
        decoder = load_decoder(path, self.device)
        if name in self.params.variants:
            asked = self.params.decoder
            where = f"{path}, which `dvc repro train_decoder@{name}` writes anew"
            refuse_other_options(decoder.config, asked.architecture, asked.all_options(), where)
        return decoder

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

    def decoder_of(self, recognizer: str) -> str | None:
        """The first decoder at hand of a recognizer's templates, the imported ones before the trained."""
        names = [*self.params.import_decoder, *self.params.variants]
        of_it = (name for name in names if self.params.decoders[name] == recognizer)
        return next((name for name in of_it if self.decoder_file(name).is_file()), None)

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
            with importing(self.params.import_recognizer[name].weights) as source:
                module = import_recognizer(network.architecture, network.options, source)
            module.place(self.params.faces.geometry)
            return module.requires_grad_(False).to(self.device, memory_format=torch.channels_last)
        return super().recognizer(name)

    def pair(self, name: str) -> tuple[Recognizer, Decoder]:
        """A decoder, and the recognizer whose templates it decodes. Raises DfdError where they do not belong together."""
        template = self.params.entry("decoders", name)
        decoder, recognizer = self.decoder(name), self.recognizer(template)
        where = str(self.decoder_file(name))
        refuse_other_faces(decoder.config, where, template, weights_sha256(recognizer), self.params.faces.geometry)
        return recognizer, decoder


def _opened(photo: Photo, max_megapixels: float, min_side: int, background: str) -> Image.Image:
    """The photo as upright RGB. Raises Rejected, and DfdError for a file that cannot be read and no array of an image."""
    if isinstance(photo, str | Path):
        try:
            data = Path(photo).expanduser().read_bytes()
        except OSError as error:
            raise DfdError(f"{photo}: {error.strerror}") from error
        return decode_photo(data, max_megapixels, min_side, background)
    if isinstance(photo, Image.Image):
        return upright_rgb(photo, background)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise DfdError(f"the photo: an array is to be uint8 (H, W, 3), RGB, not {photo.dtype} {photo.shape}")
    return Image.fromarray(photo)
