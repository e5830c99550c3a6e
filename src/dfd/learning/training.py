"""Training a decoder (Eq. 1): Adam with decoupled weight decay, early stopping, one resumable checkpoint per epoch."""

import copy
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import pandas as pd
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from dfd.core.artefacts import replacing
from dfd.core.devices import autocast
from dfd.core.errors import DfdError
from dfd.faces.examples import Examples, on_device
from dfd.learning import distributed
from dfd.learning.settings import TrainDecoder

log = logging.getLogger(__name__)


class Conditions(NamedTuple):
    """Under which anything is trained. precision: auto, float32 or bfloat16. memory_gb: of faces, at most, in memory."""

    device: torch.device
    precision: str
    seed: int
    memory_gb: float


class Loss(Protocol):
    """What a decoder learns from: `ReconstructionLoss`, or a competitor's `CompetingLoss`."""

    def terms(self, images: torch.Tensor, targets: torch.Tensor, templates: torch.Tensor) -> dict[str, torch.Tensor]:
        """Each term before its weight, (N,) or of fewer images, of RGB images (N, 3, H, W) in [0, 1] decoded from
        templates (N, D)."""

    def total(self, terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of the terms' means, a scalar."""


def train(
    decoder: nn.Module,
    loss: Loss,
    training: Examples,
    validation: Examples,
    settings: TrainDecoder,
    conditions: Conditions,
    checkpoint: Path,
    stamp: str,
    betas: tuple[float, float] = (0.9, 0.999),
) -> pd.DataFrame:
    """Train `decoder` in place to its best epoch by the validation loss, and return the history.

    The history has one row per epoch and split: `epoch` (from 1), `split`, `total`, and each term before its weight.
    Of the settings: schedule: `one-cycle` (Smith & Topin, 2019: up to `learning_rate` and down to 0), `constant`, or `halving` every ten
    epochs. weight_decay: of matrices and kernels, not of biases and norms. averaging: the share of the old in the running
    mean of the weights (less at first), which alone is validated and kept; 0: the weights themselves. clip: the gradient's greatest norm
    for a loss in squared grey levels, over 255²: as if images and loss were in [0, 1]; 0: unlimited. A killed training
    goes on from `checkpoint`, if that carries the same `stamp`, and ends with the weights of an uninterrupted one. Of
    several processes (`dfd.learning.distributed`) each calls this with the same arguments, and ends with the same. Raises
    DfdError where no epoch has a finite validation loss.
    """
    device, precision, seed, _ = conditions
    epochs, batch_size, learning_rate = settings.epochs, settings.batch_size, settings.learning_rate
    process, processes = distributed.rank(), distributed.size()
    distributed.refuse_small(batch_size, len(training.rows), "train_decoder")
    decoder.to(device, memory_format=torch.channels_last)
    groups = [
        {"params": [weight for weight in decoder.parameters() if (weight.ndim > 1) == decays], "weight_decay": decay}
        for decays, decay in ((True, settings.weight_decay), (False, 0.0))
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)
    average = AveragedModel(decoder, multi_avg_fn=_running_mean(settings.averaging), use_buffers=True)
    kept = average.module if settings.averaging else decoder
    steps = -(-len(training.rows) // batch_size)
    scheduler = None
    if settings.schedule == "one-cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, learning_rate, total_steps=epochs * steps, pct_start=0.11
        )
    elif settings.schedule == "halving":
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10 * steps, 0.5)
    history: list[dict] = []
    best = {"loss": float("inf"), "epoch": 0, "state": {}}
    parts = {"decoder": decoder, "average": average, "optimizer": optimizer} | (
        {"scheduler": scheduler} if scheduler else {}
    )
    history, best = _resume(checkpoint, stamp, parts, history, best)

    for epoch in range(len(history) // 2 + 1, epochs + 1):
        if epoch - best["epoch"] > settings.patience and history:
            log.info("no better validation loss for %d epochs: stopping", settings.patience)
            break
        start = time.perf_counter()
        torch.manual_seed(
            seed * 10_000 + epoch
        )  # dropout and order depend on the epoch alone: a resumed run repeats them
        order = training.shuffled()
        if process:  # it has the same order, but dropout and noise of its own
            torch.manual_seed(seed * 10_000 + epoch + (process << 40))
        decoder.train()
        sums = _Sums()
        progress = tqdm(
            training.batches(order, batch_size, process, processes),
            f"epoch {epoch}/{epochs}",
            steps,
            leave=False,
            disable=None,
        )
        for _, templates, images in progress:
            with autocast(device, precision):
                templates = templates.to(device)
                terms = loss.terms(decoder(templates).float(), on_device(images, device), templates)
            total = loss.total(terms)
            optimizer.zero_grad()
            total.backward()
            distributed.average(decoder.parameters(), len(templates))
            if settings.clip:
                nn.utils.clip_grad_norm_(decoder.parameters(), 255**2 * settings.clip)
            optimizer.step()
            if settings.averaging:
                average.update_parameters(decoder)
            if scheduler:
                scheduler.step()
            sums.add(terms, total)
        distributed.share(decoder, average)
        history.append({"epoch": epoch, "split": "train"} | sums.means())
        torch.manual_seed(seed)  # what a loss draws at random is the same for every epoch's validation
        history.append({"epoch": epoch, "split": "validation"} | _validate(
            kept, loss, validation, batch_size, precision, device
        ))  # fmt: skip
        current = history[-1]["total"]
        if current < best["loss"]:
            best = {"loss": current, "epoch": epoch, "state": copy.deepcopy(kept.state_dict())}
        log.info(
            "epoch %d: training loss %.4g, validation loss %.4g, %.0f faces/s",
            epoch, history[-2]["total"], current, len(training.rows) / (time.perf_counter() - start),
        )  # fmt: skip
        if process == 0:
            _save_checkpoint(checkpoint, stamp, parts, history, best)
    if not best["epoch"]:
        raise DfdError("train_decoder: no epoch had a finite validation loss; lower learning_rate")
    decoder.load_state_dict(best["state"])
    return pd.DataFrame(history)


def _running_mean(averaging: float) -> Callable:
    """The exponential running mean; over its first steps a plain mean of the last ones, which forgets the first weights."""

    def update(averaged: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor | int) -> None:
        share = min(averaging, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - share)
            else:  # how many batches a norm has seen
                mean.copy_(value)

    return update


@torch.no_grad()
def _validate(
    decoder: nn.Module,
    loss: Loss,
    examples: Examples,
    batch_size: int,
    precision: str,
    device: torch.device,
) -> dict[str, float]:
    decoder.eval()
    sums = _Sums()
    process, processes = distributed.rank(), distributed.size()
    for _, templates, images in examples.batches(torch.arange(len(examples)), batch_size, process, processes):
        with autocast(device, precision):
            templates = templates.to(device)
            terms = loss.terms(decoder(templates).float(), on_device(images, device), templates)
        sums.add(terms, loss.total(terms))
    return sums.means()


class _Sums:
    """Means over all images that a term saw in an epoch, in all processes, whatever the batches' sizes."""

    def __init__(self):
        self.sums, self.counts = {}, {}

    def add(self, terms: dict[str, torch.Tensor], total: torch.Tensor) -> None:
        n = len(max(terms.values(), key=len))
        for name, values in {"total": total.detach().expand(n), **terms}.items():
            self.sums[name] = self.sums.get(name, 0) + values.detach().sum()
            self.counts[name] = self.counts.get(name, 0) + len(values)

    def means(self) -> dict[str, float]:
        here = {name: (float(value), self.counts[name]) for name, value in self.sums.items()}
        every = [part for part in distributed.gathered(here) if part]  # a process may have had no validation face
        return {name: sum(p[name][0] for p in every) / sum(p[name][1] for p in every) for name in every[0]}


def _save_checkpoint(path: Path, stamp: str, parts: dict, history: list[dict], best: dict) -> None:
    with replacing(path) as temporary:
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({"stamp": stamp, "parts": state, "history": history, "best": best}, temporary)


def _resume(path: Path, stamp: str, parts: dict, history: list[dict], best: dict) -> tuple[list[dict], dict]:
    if not path.exists():
        return history, best
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        same = saved["stamp"] == stamp
    except Exception:  # many classes: it was cut off, or is another program's
        same = False
    if not same:
        log.info("%s was left by other params or inputs: starting anew", path)
        return history, best
    try:
        for name, part in parts.items():
            part.load_state_dict(saved["parts"][name])
        history, best = list(saved["history"]), dict(saved["best"])
    except Exception as error:  # of the parts some are loaded: there is no starting anew from here
        raise DfdError(f"{path}: damaged; delete it, and the training starts anew") from error
    log.info("resuming after epoch %d from %s", len(history) // 2, path)
    return history, best
