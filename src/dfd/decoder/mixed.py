"""A decoder beside the linear one: their mix is better than either where faces are few."""

import torch
from torch import nn

from dfd.decoder.linear import LinearDecoder
from dfd.faces.examples import Examples

BATCH = 256


class MixedDecoder(nn.Module):
    """linear(e) + share · (network(e) − linear(e)): templates (N, D) to RGB faces (N, 3, size, size).

    The network learns from pixels most of which its template does not determine; it learns some of that noise. The
    linear decoder's errors are others, so the mean of both errs less (Breiman, "Stacked regressions", 1996).
    """

    def __init__(self, network: nn.Module, linear: LinearDecoder):
        super().__init__()
        self.network = network
        self.linear = linear
        self.register_buffer("share", torch.ones(()))

    @property
    def template_mean(self) -> torch.Tensor:
        return self.linear.template_mean

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        return torch.lerp(self.linear(templates), self.network(templates), self.share)

    @torch.no_grad()
    def choose_share(self, validation: Examples) -> float:
        """Set the share, in [0, 1], to the one with the least squared pixel error on the validation faces."""
        device = self.template_mean.device
        self.eval()
        along, length = 0.0, 0.0
        for _, templates, images in validation.batches(torch.arange(len(validation)), BATCH):
            linear = self.linear(templates.to(device)).cpu()
            step = self.network(templates.to(device)).float().cpu() - linear
            along += float((step * (images.float() / 255 - linear)).sum())
            length += float(step.square().sum())
        self.share.fill_(min(1.0, max(0.0, along / length)) if length else 1.0)
        return float(self.share)
