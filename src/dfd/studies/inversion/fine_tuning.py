"""An attacker who knows of a protection and trains: the decoder learns on, a few steps, from templates that were protected.

They are mapped back before (see `protections.undoing`), so that no step changes nothing, and what the steps add is told
alone. It learns with the losses that it learned with, but for those of φ, and the identity is the attacked recognizer's.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch

from dfd.core.left_out import LeftOut
from dfd.core.settings import validated
from dfd.decoder.base import Decoder
from dfd.learning.losses import ReconstructionLoss
from dfd.learning.settings import Loss
from dfd.recognizers.base import Recognizer

BATCH = 32
LEARNING_RATE = 1e-3  # of Adam, falling to 0: as decoders' own

NO_STEPS = LeftOut("left out: inversion.fine_tuning_steps is 0")
NO_LOSS = LeftOut("left out: its file does not say which losses it learned with, or it learned through features alone")


class Tuning(NamedTuple):
    """How a decoder learns on. faces: positions (B,) of the training templates that an attacker has, to their faces
    (B, 3, S, S) in [0, 1], at the decoder's size."""

    loss: ReconstructionLoss
    faces: Callable[[torch.Tensor], torch.Tensor]
    steps: int


def loss_of(decoder: Decoder, recognizer: Recognizer) -> ReconstructionLoss | LeftOut:
    """The losses in a decoder's header, as far as they need no φ, and no gradients that the attacked recognizer lacks."""
    if "loss" not in decoder.config:
        return NO_LOSS
    loss = validated(Loss, decoder.config["loss"], "a decoder's losses").without_features()
    weights = loss.weights() | ({} if recognizer.gives_gradients else {"identity": 0.0})
    return (
        ReconstructionLoss(recognizer, weights, 1.0, loss.perceptual_share, recognizer)
        if any(weights.values())
        else NO_LOSS
    )


def fine_tuned(decoder: Decoder, given: torch.Tensor, exact: torch.Tensor, tuning: Tuning, seed: int) -> Decoder:
    """A copy of the decoder that learned on from templates (M, D) as the attacker has them, `given`; exact: the same before
    they were protected, (M, D), whose identity the faces are to have."""
    learning = copy.deepcopy(decoder).requires_grad_(True)  # not in training mode: its norms keep what they learned
    optimizer = torch.optim.Adam(learning.parameters(), LEARNING_RATE)
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / tuning.steps)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(tuning.steps):
            batch = torch.randint(len(given), (BATCH,))
            images = learning(given[batch].to(decoder.device))
            targets = tuning.faces(batch).to(decoder.device), exact[batch].to(decoder.device)
            optimizer.zero_grad()
            tuning.loss.total(tuning.loss.terms(images, *targets)).backward()
            optimizer.step()
            falling.step()
    return learning.requires_grad_(False)
