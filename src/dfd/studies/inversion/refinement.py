"""The worst case: whoever has the recognizer itself refines a reconstruction's pixels until it is recognized.

Gradient descent on 1 − cosine between the template that was leaked and that of the picture, which the recognizer sees
through the jitter that decoders learn with: without that it paints patterns that no other recognizer takes for the face.
"""

import torch
import torch.nn.functional as F

from dfd.learning.jitter import jittered
from dfd.recognizers.base import Recognizer

LEARNING_RATE = 0.02  # of Adam, in [0, 1] of the pixels
BATCH = 8


def refined(
    images: torch.Tensor, templates: torch.Tensor, recognizer: Recognizer, steps: int, seed: int
) -> torch.Tensor:
    """Images (N, 3, S, S) in [0, 1], after so many steps towards templates (N, D) of the recognizer, on the CPU."""
    parts = zip(images.split(BATCH), templates.split(BATCH), strict=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.cat([_refined(part, wanted, recognizer, steps) for part, wanted in parts])


def _refined(images: torch.Tensor, templates: torch.Tensor, recognizer: Recognizer, steps: int) -> torch.Tensor:
    wanted = templates.to(recognizer.device)
    pixels = images.detach().to(recognizer.device).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([pixels], LEARNING_RATE)
    for _ in range(steps):
        optimizer.zero_grad()
        seen = recognizer.embed(jittered(pixels, recognizer))
        (1 - F.cosine_similarity(seen, wanted)).sum().backward()
        optimizer.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)
    return pixels.detach().cpu()
