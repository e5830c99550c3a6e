"""Templates that somebody computed, in a recognizer's place: for a system whose model nobody has."""

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from dfd.core.errors import DfdError
from dfd.recognizers.base import NO_IMAGES, Recognizer


class Precomputed(Recognizer):
    """Templates by data set and key of the photo (`<identity>/<photo>`), all of one dimension; nothing is computed.

    templates: {data set: (keys (N,), templates float32 (N, D))}. Its file holds for data set number i, in the order of
    the header's option `datasets`, `template_i` (N, D) and `key_i`, the keys as the UTF-8 bytes of a JSON list.
    Whatever asks it for an image's template or for perceptual features gets a DfdError.
    """

    embeds_images = False
    gives_gradients = False

    def __init__(self, templates: Mapping[str, tuple[Sequence[str], np.ndarray]]):
        super().__init__(size=1, layer="template", tap="template", mean=(0.0, 0.0, 0.0), scale=1.0, window="box")
        self.datasets = list(templates)
        for number, (keys, vectors) in enumerate(templates.values()):
            text = json.dumps(list(keys)).encode()
            self.register_buffer(f"template_{number}", torch.from_numpy(np.ascontiguousarray(vectors, np.float32)))
            self.register_buffer(f"key_{number}", torch.frombuffer(bytearray(text), dtype=torch.uint8))
        lengths = {name: vectors.shape[1] for name, (_, vectors) in templates.items()}
        if len(set(lengths.values())) != 1:
            differing = ", ".join(f"{length} in {name}" for name, length in lengths.items())
            raise DfdError(f"import_recognizer: templates of one recognizer have one length, not {differing}")
        self.eval()

    @classmethod
    def from_state(cls, datasets: Sequence[str], state: Mapping[str, torch.Tensor]) -> "Precomputed":
        """What `state_dict` gave, back again."""
        keys = (json.loads(state[f"key_{number}"].numpy().tobytes()) for number in range(len(datasets)))
        vectors = (state[f"template_{number}"].numpy() for number in range(len(datasets)))
        return cls(dict(zip(datasets, zip(keys, vectors), strict=True)))

    @property
    def options(self) -> dict:
        """What its file's header says of it."""
        return {"datasets": self.datasets}

    @property
    def dimension(self) -> int:
        return self.template_0.shape[1]

    def count_parameters(self) -> None:
        return None

    def templates_of(self, dataset: str) -> tuple[list[str], torch.Tensor]:
        """(keys, templates (N, D)) of a data set; none of one that it has no file of."""
        if dataset not in self.datasets:
            return [], torch.zeros(0, self.dimension)
        number = self.datasets.index(dataset)
        keys = json.loads(self.get_buffer(f"key_{number}").cpu().numpy().tobytes())
        return keys, self.get_buffer(f"template_{number}").cpu()

    def activations(self, images: torch.Tensor, names: Iterable[str]) -> dict[str, torch.Tensor]:
        raise DfdError(f"{NO_IMAGES}, and no perceptual features can be had")
