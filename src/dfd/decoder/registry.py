"""The decoders by name, and their files: a .safetensors whose header rebuilds the network."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from dfd.core.artefacts import read_module, save_module
from dfd.core.errors import DfdError
from dfd.decoder.closed_form import LinearDecoder, QuadraticDecoder
from dfd.decoder.inverted_vgg import InvertedVGG
from dfd.decoder.mixed import MixedDecoder
from dfd.decoder.nbnet import NbNet
from dfd.decoder.residual_deconvolution import ResidualDeconvolution

# architecture -> its module, called with the template's dimension and the options of `decoder` in params.yaml
DECODERS: dict[str, Callable[..., nn.Module]] = {
    "inverted-vgg": InvertedVGG,
    "linear": LinearDecoder,
    "quadratic": QuadraticDecoder,
    "nbnet": NbNet,
    "residual-deconvolution": ResidualDeconvolution,
}


def build_decoder(architecture: str, dimension: int, options: dict) -> nn.Module:
    """A decoder of `dimension`-d templates with fresh weights. Raises DfdError for an unknown architecture or option."""
    if architecture not in DECODERS:
        raise DfdError(f"decoder: no architecture is called {architecture}; there are {', '.join(DECODERS)}")
    try:
        return DECODERS[architecture](dimension, **options)
    except TypeError as error:
        raise DfdError(f"decoder: options of {architecture}: {error}") from error


def save_decoder(path: str | Path, decoder: nn.Module, config: dict) -> None:
    """Write a decoder; `config` holds at least what `load_decoder` rebuilds it from."""
    save_module(path, decoder, config)


def load_decoder(path: str | Path, device: torch.device) -> nn.Module:
    """Read what `save_decoder` wrote: in eval mode, channels last, its header as `decoder.config`.

    A header with `mix` holds the architecture and the options of the decoder that the network is mixed with.
    """
    config, state = read_module(path)
    decoder = build_decoder(config["architecture"], config["dimension"], config["options"])
    if mix := config.get("mix"):
        decoder = MixedDecoder(decoder, build_decoder(mix["architecture"], config["dimension"], mix["options"]))
    decoder.load_state_dict(state)
    decoder.config = config
    return decoder.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)


@torch.inference_mode()
def decode(decoder: nn.Module, templates: torch.Tensor, batch: int = 64) -> torch.Tensor:
    """Faces (N, 3, size, size) in [0, 1], on the CPU, from templates (N, D)."""
    device = decoder.template_mean.device
    return torch.cat([decoder(part.to(device)).float().clamp(0, 1).cpu() for part in templates.split(batch)])
