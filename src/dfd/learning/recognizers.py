"""Training a recognizer: an objective on its templates, then, as in the paper, a triplet loss."""

import logging
import time

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from dfd.core.devices import autocast
from dfd.core.errors import DfdError
from dfd.faces.examples import Examples, on_device
from dfd.faces.store import FaceStore
from dfd.learning import distributed
from dfd.learning.objectives import Triplet
from dfd.learning.settings import RecognizerTraining
from dfd.learning.training import Conditions
from dfd.recognizers.base import Recognizer

log = logging.getLogger(__name__)
PER_IDENTITY = 4  # faces of one identity in a batch of the triplet phase


def train_recognizer(
    recognizer: Recognizer,
    objective: nn.Module,
    examples: Examples,
    settings: RecognizerTraining,
    conditions: Conditions,
) -> pd.DataFrame:
    """Train `recognizer` in place and return the history: `phase`, `epoch` (from 1), `loss` (the epoch's mean).

    Adam; the learning rate goes up and down to zero once per phase. Of several processes (`dfd.learning.distributed`)
    each compares in a triplet phase the faces of its own share. Raises DfdError where that finds no identity with two
    faces.
    """
    device, precision, seed, _ = conditions
    batch_size, learning_rate = settings.batch_size, settings.learning_rate
    process, processes = distributed.rank(), distributed.size()
    distributed.refuse_small(batch_size, len(examples.rows), "train_recognizer")
    recognizer.to(device, memory_format=torch.channels_last).requires_grad_(True).train()
    phases = [("objective", objective.to(device), settings.epochs)]
    if settings.triplet_epochs:
        phases.append(("triplet", Triplet(settings.triplet_margin), settings.triplet_epochs))
    history = []
    for phase, criterion, count in phases:
        parameters = [*recognizer.parameters(), *criterion.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
        steps = -(-(len(examples.rows) if phase == "objective" else len(examples)) // batch_size)
        # Not 0.1: torch divides by zero where the rise is exactly one step, as a tenth of ten steps is.
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, learning_rate, total_steps=count * steps, pct_start=0.11
        )
        for epoch in range(1, count + 1):
            start = time.perf_counter()
            torch.manual_seed(seed * 10_000 + 1000 * len(phase) + epoch)
            order = examples.shuffled() if phase == "objective" else grouped_order(examples.targets, len(examples.rows))
            if process:  # it has the same order, but dropout of its own
                torch.manual_seed(seed * 10_000 + 1000 * len(phase) + epoch + (process << 40))
            total, seen = 0.0, 0
            batches = examples.batches(order, batch_size, process, processes)
            progress = tqdm(batches, f"{phase} {epoch}/{count}", steps, leave=False, disable=None)
            for _, targets, images in progress:
                with autocast(device, precision):
                    templates = recognizer(on_device(images, device))
                losses = criterion(templates.float(), targets.to(device))
                optimizer.zero_grad()
                losses.mean().backward()
                distributed.average(parameters, len(losses))
                optimizer.step()
                scheduler.step()
                total, seen = total + float(losses.detach().sum()), seen + len(losses)
            distributed.share(recognizer, criterion)
            total, seen = (sum(part) for part in zip(*distributed.gathered((total, seen)), strict=True))
            history.append({"phase": phase, "epoch": epoch, "loss": total / seen})
            log.info("%s %d: loss %.4f, %.0f faces/s", phase, epoch, total / seen, seen / (time.perf_counter() - start))
    recognizer.eval().requires_grad_(False)
    return pd.DataFrame(history)


def grouped_order(labels: torch.Tensor, photos: int) -> torch.Tensor:
    """An order of all examples in which those of one identity come in random groups of up to PER_IDENTITY.

    The first `photos` examples are photos, the others their mirror images, which alone make no two faces of a person.
    """
    if labels[:photos].bincount().max() < 2:
        raise DfdError("train_recognizer: a triplet loss needs identities with two photos or more")
    groups = []
    for label in labels.unique():
        members = torch.nonzero(labels == label).flatten()
        groups += members[torch.randperm(len(members))].split(PER_IDENTITY)
    return torch.cat([groups[i] for i in torch.randperm(len(groups))])


def identity_labels(faces: FaceStore, rows: np.ndarray) -> torch.Tensor:
    """Labels (N,) of all faces of a store: 0, 1, … for the identities among `rows`, in alphabetical order, else −1.

    Raises DfdError where nobody has two faces among `rows`, from which alone it can be learned what tells people apart.
    """
    if not len(_several(faces.identities(rows))):
        raise DfdError(
            f"{faces.path}: none of its people has two photos to learn from, which a recognizer's objectives softmax and "
            "arcface need; name another `dataset`, or `objective: distil`"
        )
    known = {identity: label for label, identity in enumerate(np.unique(faces.identities(rows)))}
    return torch.tensor([known.get(identity, -1) for identity in faces.identities(np.arange(len(faces)))])


def split_people(faces: FaceStore, share: float | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of people to learn from, who have two photos or more each, and rows of other people to test on.

    share: of such people of the test split learn, drawn by `seed`; all others of that split test. None: the store's own
    training and test splits.
    """
    test = faces.rows("test")
    if share is None:
        train = faces.rows("train")
        return train[np.isin(faces.identities(train), _several(faces.identities(train)))], test
    several = np.random.default_rng(seed).permutation(_several(faces.identities(test)))
    learned = np.isin(faces.identities(test), several[: round(share * len(several))])
    return test[learned], test[~learned]


def _several(identities: np.ndarray) -> np.ndarray:
    """Those who occur twice or more often, in alphabetical order."""
    people, counts = np.unique(identities, return_counts=True)
    return people[counts > 1]
