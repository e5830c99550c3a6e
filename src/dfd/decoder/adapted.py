"""A decoder behind an adapter: faces from the templates of a recognizer that it never learned."""

import torch

from dfd.core.errors import DfdError
from dfd.decoder.base import Decoder
from dfd.templates.adapters import Adapter

# Of the decoder's header, what is said of the templates that it learned: the adapter's are another recognizer's.
OF_TEMPLATES = ("recognizer", "weights_sha256", "layer", "training_templates")


class AdaptedDecoder(Decoder):
    """Templates (N, D) of one recognizer to RGB faces (N, 3, size, size), by a decoder of another's (N, K)."""

    def __init__(self, dimension: int, decoder: Decoder):
        super().__init__(dimension, decoder.size)
        self.adapter = Adapter(
            torch.randn(decoder.dimension, dimension) / dimension**0.5, torch.zeros(decoder.dimension)
        )
        self.decoder = decoder
        self.mean_face.copy_(decoder.mean_face)

    def set_statistics(self, templates: torch.Tensor, mean_face: torch.Tensor) -> None:
        self.mean_face.copy_(mean_face)
        self.decoder.set_statistics(self.adapter(templates), mean_face)

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.adapter(templates))


def adapted(decoder: Decoder, adapter: Adapter) -> AdaptedDecoder:
    """`decoder` behind `adapter`, with the header to save it by: the decoder's, but of the adapter's templates.

    Raises DfdError where the adapter leads to templates of another dimension or another recognizer than the decoder's.
    """
    outputs, config = len(adapter.bias), decoder.config
    meant, taken = adapter.config["to"].get("weights_sha256"), config.get("weights_sha256")
    if outputs != decoder.dimension:
        raise DfdError(
            f"the adapter leads to templates of {outputs} numbers, and the decoder takes {decoder.dimension}"
        )
    if meant and taken and meant != taken:
        raise DfdError(
            f"the adapter leads to templates of {adapter.config['to']['recognizer']} with the weights {meant[:12]}…, "
            f"and the decoder takes those with {taken[:12]}…; fit it for this decoder"
        )
    both = AdaptedDecoder(adapter.dimension, decoder)
    both.adapter.load_state_dict(adapter.state_dict())
    source = adapter.config["from"]
    both.config = {name: value for name, value in config.items() if name not in OF_TEMPLATES} | {
        "architecture": "adapted",
        "dimension": adapter.dimension,
        "options": {
            "size": decoder.size,
            "architecture": config["architecture"],
            "takes": decoder.dimension,
            "options": config["options"],
        },
        "recognizer": source["name"],
        "adapter": adapter.config,
    }
    if source.get("weights_sha256"):
        both.config["weights_sha256"] = source["weights_sha256"]
    return both.requires_grad_(False).eval().to(decoder.device, memory_format=torch.channels_last)
