"""Adversarial attacks on a recognizer's input (paper, section 4.3.3): FGSM and Carlini-Wagner, by our own code.

Images are RGB float32 (N, 3, H, W) in [0, 1] at the recognizer's own input size, and so are the attacked ones: nothing
is rounded to 8 bits. `logits` is a differentiable function of images, (N, 3, H, W) to (N, classes); in a network that
is one in eval mode, no image of a batch has a part in another's gradient. ε is in grey levels (0-255).

All attacks on identification are targeted: `targets` (N,) are the classes to be predicted, the loss falls towards them.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

Logits = Callable[[torch.Tensor], torch.Tensor]

# CW's variable w = atanh(2x − 1) is infinite at 0 and 1, and next to them hardly moves the pixel: x is pulled towards
# the middle by this share (at most 0.013 grey levels).
PULL = 1e-4


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """−log p(target), (N,), at least 0, of logits (N, classes)."""
    return F.cross_entropy(logits, targets, reduction="none")


def margin(logits: torch.Tensor, targets: torch.Tensor, confidence: float = 0.0) -> torch.Tensor:
    """max(max_{i≠t} Z_i − Z_t, −κ), (N,): Carlini & Wagner (2017), section V-A, f_6.

    It is −κ, with no gradient, once the target's logit leads all others by the confidence κ.
    """
    others = logits.scatter(1, targets[:, None], -torch.inf).amax(1)
    return (others - logits.gather(1, targets[:, None])[:, 0]).clamp_min(-confidence)


def steps(epsilon: float) -> int:
    """How many steps of one grey level an iterated attack takes: min(ε + 4, 1.25 ε), rounded up (Kurakin et al., 2017)."""
    return math.ceil(min(epsilon + 4, 1.25 * epsilon))


def descended(images: torch.Tensor, direction: torch.Tensor, epsilon: float) -> torch.Tensor:
    """clip(x − ε·direction): images (N, 3, H, W) after a step of ε grey levels, in [0, 1]."""
    return (images - epsilon / 255 * direction).clamp(0, 1)


def gradient_sign(loss: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """sign ∇loss, (N, 3, H, W) in {−1, 0, 1}; loss: images to (N,). No other gradient is computed or kept."""
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(images).sum(), images)
    return gradient.sign()


def _iterated(loss: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Steps of one grey level along the sign of the gradient, each projected onto the ε-ball and onto [0, 1]."""
    low, high = (images - epsilon / 255).clamp_min(0), (images + epsilon / 255).clamp_max(1)
    attacked = images
    for _ in range(steps(epsilon)):
        direction = gradient_sign(loss, attacked)
        if not direction.any():  # nothing left to gain
            break
        attacked = descended(attacked, direction, min(1, epsilon)).clamp(low, high)
    return attacked


def tfgsm(logits: Logits, images: torch.Tensor, targets: torch.Tensor, epsilon: float) -> torch.Tensor:
    """clip(x − ε·sign ∇CE(x, target)): Goodfellow et al. (2015), targeted."""
    return descended(images, gradient_sign(lambda x: cross_entropy(logits(x), targets), images), epsilon)


def itfgsm(logits: Logits, images: torch.Tensor, targets: torch.Tensor, epsilon: float) -> torch.Tensor:
    """tFGSM iterated within the ε-ball: Kurakin et al. (2017)."""
    return _iterated(lambda x: cross_entropy(logits(x), targets), images, epsilon)


def tcw(
    logits: Logits, images: torch.Tensor, targets: torch.Tensor, epsilon: float, confidence: float = 0.0
) -> torch.Tensor:
    """One step along the sign of the gradient of CW's margin: a reading of the paper's "tCW", which is not defined there."""
    return descended(images, gradient_sign(lambda x: margin(logits(x), targets, confidence), images), epsilon)


def itcw(
    logits: Logits, images: torch.Tensor, targets: torch.Tensor, epsilon: float, confidence: float = 0.0
) -> torch.Tensor:
    """tCW iterated within the ε-ball; an image stays as it is from the step on that reaches the margin κ."""
    return _iterated(lambda x: margin(logits(x), targets, confidence), images, epsilon)


def cw_l2(
    logits: Logits,
    images: torch.Tensor,
    targets: torch.Tensor,
    confidence: float = 0.0,
    searches: int = 9,
    iterations: int = 10_000,
    initial: float = 1e-3,
    learning_rate: float = 0.01,
) -> torch.Tensor:
    """The L2 attack of Carlini & Wagner (2017), section VI: little noise ‖x' − x‖₂ rather than a bounded one.

    Minimises ‖½(tanh w + 1) − x‖² + c·margin over w with Adam, in squared units of [0, 1]. c, which is weighed against
    the margin in logits, starts at `initial` and is found by binary search for each image (ten times as much until the
    first success). A search ends early when a tenth of its iterations has improved no image's loss by 0.01 %.
    Returns the successful image with the least noise; an image without any success is returned as it was.
    """
    start = torch.atanh((2 * images - 1) * (1 - PULL))
    best, least = images.clone(), images.new_full((len(images),), torch.inf)
    low, high = torch.zeros_like(least), torch.full_like(least, torch.inf)
    weight = torch.full_like(least, initial)
    for _ in range(searches):  # Adam is written out: to import torch's takes seconds
        w, first, second = start, torch.zeros_like(start), torch.zeros_like(start)
        found, before = torch.zeros_like(least, dtype=torch.bool), torch.full_like(least, torch.inf)
        for iteration in range(iterations):
            with torch.enable_grad():
                w = w.detach().requires_grad_()
                attacked = (torch.tanh(w) + 1) / 2
                behind = margin(logits(attacked), targets, torch.inf)
                noise = (attacked - images).flatten(1).square().sum(1)
                loss = noise + weight * behind.clamp_min(-confidence)
                (gradient,) = torch.autograd.grad(loss.sum(), w)
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient.square()
            unbiased = first / (1 - 0.9 ** (iteration + 1)), second / (1 - 0.999 ** (iteration + 1))
            w = w - learning_rate * unbiased[0] / (unbiased[1].sqrt() + 1e-8)
            reached = (behind < 0) & (behind <= -confidence)
            found |= reached
            better = reached & (noise.detach() < least)
            best[better], least[better] = attacked.detach()[better], noise.detach()[better]
            if iteration % max(iterations // 10, 1) == 0:
                if (loss > 0.9999 * before).all():
                    break
                before = loss.detach()
        high, low = torch.where(found, weight.minimum(high), high), torch.where(found, low, weight.maximum(low))
        weight = torch.where(high.isinf(), 10 * weight, (low + high) / 2)
    return best


# attack -> what it does to (logits, images, targets) with its options as keyword arguments
ATTACKS: dict[str, Callable[..., torch.Tensor]] = {
    "tfgsm": tfgsm,
    "itfgsm": itfgsm,
    "tcw": tcw,
    "itcw": itcw,
    "cw-l2": cw_l2,
}


def apart(recognizer: Logits, images: torch.Tensor, templates: torch.Tensor) -> torch.Tensor:
    """The direction of the FGSM that pushes matching pairs apart: sign ∇cos(ξ(x), e), (N, 3, H, W) in {−1, 0, 1}.

    The paper says only that FGSM distorts one image of each matching pair, which has no class to aim at: here its loss is
    the cosine that verification decides by. images: one of each pair, attacked; templates (N, D): e, of the other, which
    stays as it is. `descended` steps along it; the direction does not depend on ε.
    """
    return gradient_sign(lambda x: F.cosine_similarity(recognizer(x), templates), images)
