"""The decoders by name, and their files: a .safetensors whose header rebuilds the network."""

from collections.abc import Callable
from pathlib import Path

import torch

from dfd.core.artefacts import read_module, save_module
from dfd.core.errors import DfdError
from dfd.decoder.adapted import AdaptedDecoder
from dfd.decoder.base import Decoder
from dfd.decoder.closed_form import LinearDecoder, QuadraticDecoder
from dfd.decoder.inverted_vgg import InvertedVGG
from dfd.decoder.nbnet import NbNet
from dfd.decoder.residual import ResidualDecoder
from dfd.decoder.residual_deconvolution import ResidualDeconvolution


def _adapted(dimension: int, size: int, architecture: str, takes: int, options: dict) -> AdaptedDecoder:
    """A decoder of `takes`-d templates, of that architecture and those options, behind an adapter from `dimension`-d ones."""
    return AdaptedDecoder(dimension, build_decoder(architecture, takes, {**options, "size": size}))


# architecture -> its module, called with the template's dimension and the options of `decoder` in params.yaml
DECODERS: dict[str, Callable[..., Decoder]] = {
    "residual": ResidualDecoder,
    "inverted-vgg": InvertedVGG,
    "linear": LinearDecoder,
    "quadratic": QuadraticDecoder,
    "nbnet": NbNet,
    "residual-deconvolution": ResidualDeconvolution,
    "adapted": _adapted,
}


def build_decoder(architecture: str, dimension: int, options: dict) -> Decoder:
    """A decoder of `dimension`-d templates with fresh weights. Raises DfdError for an unknown architecture or option."""
    if architecture not in DECODERS:
        raise DfdError(f"decoder: no architecture is called {architecture}; there are {', '.join(DECODERS)}")
    try:
        return DECODERS[architecture](dimension, **options)
    except TypeError as error:
        raise DfdError(f"decoder: options of {architecture}: {error}") from error


def save_decoder(path: str | Path, decoder: Decoder, config: dict) -> None:
    """Write a decoder; `config` holds at least what `load_decoder` rebuilds it from."""
    save_module(path, decoder, config)


def load_decoder(path: str | Path, device: torch.device) -> Decoder:
    """Read what `save_decoder` wrote: in eval mode, channels last, its header as `decoder.config`.

    Raises DfdError, naming the file, where it is missing, damaged or no decoder's, of an unknown architecture or a newer
    format.
    """
    config, state = read_module(path)
    if "whitening.matrix" in state and "whitening.variances" not in state:
        raise DfdError(
            f"{path}: an older version of this project wrote it; train it again, or get the released file again"
        )
    try:
        decoder = build_decoder(config["architecture"], config["dimension"], config["options"])
        decoder.load_state_dict(state)
    except DfdError as error:
        raise DfdError(f"{path}: {error}") from error
    except (KeyError, TypeError, RuntimeError) as error:  # the last: a state of another network
        raise DfdError(f"{path}: not a decoder's file, or damaged ({' '.join(str(error).split())[:200]})") from error
    decoder.config = config
    return decoder.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)


@torch.inference_mode()
def decode(decoder: Decoder, templates: torch.Tensor, batch: int = 64) -> torch.Tensor:
    """Faces (N, 3, size, size) in [0, 1], on the CPU, from templates (N, D). Raises DfdError where it decodes no such."""
    if templates.shape[1] != decoder.dimension:
        raise DfdError(
            f"a decoder of templates of {decoder.dimension} numbers, and these have {templates.shape[1]}: one of the two was "
            "made with other params; run `dvc repro`"
        )
    return torch.cat([decoder(part.to(decoder.device)).float().clamp(0, 1).cpu() for part in templates.split(batch)])
