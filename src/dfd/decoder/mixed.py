"""A network beside a decoder in closed form: their mix is better than either where faces are few."""

import torch
from torch import nn

from dfd.decoder.closed_form import LinearDecoder
from dfd.faces.examples import Examples

BATCH = 256


class MixedDecoder(nn.Module):
    """closed_form(e) + share · (network(e) − closed_form(e)): templates (N, D) to RGB faces (N, 3, size, size).

    The network learns from pixels most of which its template does not determine; it learns some of that noise. The
    other decoder's errors are others, so the mean of both errs less (Breiman, "Stacked regressions", 1996).
    """

    def __init__(self, network: nn.Module, closed_form: LinearDecoder):
        super().__init__()
        self.network = network
        self.closed_form = closed_form
        self.register_buffer("share", torch.ones(()))

    @property
    def template_mean(self) -> torch.Tensor:
        return self.closed_form.template_mean

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        return torch.lerp(self.closed_form(templates), self.network(templates), self.share)

    @torch.no_grad()
    def choose_share(self, validation: Examples) -> dict[str, float]:
        """Set the share, in [0, 1], to the one with the least squared pixel error on the validation faces.

        Returns the `share`, and the mean squared error, in squared grey levels, of the `network`, of the `closed_form`
        decoder and of the two `mixed`.
        """
        device = self.template_mean.device
        self.eval()
        along = length = error = 0.0
        count = 0
        for _, templates, images in validation.batches(torch.arange(len(validation)), BATCH):
            start = self.closed_form(templates.to(device)).float().cpu()
            step, rest = self.network(templates.to(device)).float().cpu() - start, images.float() / 255 - start
            along += float((step * rest).sum())
            length += float(step.square().sum())
            error += float(rest.square().sum())
            count += rest.numel()
        share = min(1.0, max(0.0, along / length)) if length else 1.0
        self.share.fill_(share)
        errors = {"network": 1.0, "closed_form": 0.0, "mixed": share}
        return {"share": share} | {
            name: 65025 * (error - 2 * s * along + s**2 * length) / count for name, s in errors.items()
        }
