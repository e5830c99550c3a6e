"""PFRNet: a template as an identity part and an attribute part (paper, section 4.5; Bortolato et al., FG 2020).

Two encoders, and a decoder of both parts together, learn to reproduce templates under two more demands: in the identity
part the two classes of an attribute (here perceived gender) are to have equal first and second moments, in the
attribute part different ones. Who replaces the attribute part of a template then changes the attribute, and hopefully
nothing else.
"""

from typing import NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from dfd.core.errors import DfdError
from dfd.templates.linear import whitening

FLOOR = 1e-4  # of the largest variance: a principal axis of templates with less is left at its mean
CHECKS = 10  # how often in a training the validation faces are looked at
FEWEST = {"training": 10, "validation": 2}  # faces of each class without which nothing is trained

SOURCES = ("female", "male", "both")  # whose mean a part is replaced by; `both`: the midpoint of the two classes' means
PARTS = ("identity", "attribute")
HISTORY = ("step", "split", "reconstruction", "matching", "separating", "total")


class _Perceptron(nn.Module):
    """A perceptron with one hidden layer, beside a linear path: (N, inputs) to (N, outputs).

    The hidden layer starts with next to no say: what is linear comes first.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
        self.linear = nn.Linear(inputs, outputs, bias=False)
        with torch.no_grad():
            self.hidden[2].weight.mul_(0.1)
            self.hidden[2].bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.hidden(x) + self.linear(x)


def varying_axes(templates: torch.Tensor) -> int:
    """Along how many principal axes templates (M, D) vary: the K that a network for them has."""
    return int((whitening(templates, FLOOR)[1].norm(dim=0) > 0).sum())


class PFRNet(nn.Module):
    """Splits templates (N, D) into an identity part (N, K − A) and an attribute part (N, A), and joins them again.

    axes: K ≤ D, the principal axes of templates that are looked at; along the others, with next to no variance, templates
    are left at their mean. The paper has K = D = 512 and A = 16. More numbers than templates have axes would hide gender
    where moments do not show it, in combinations of little variance; and along the last axes a few faces lie dozens of
    standard deviations out.
    Templates are whitened first, to variance 1 over the training faces along each axis, so that the loss and its weights
    mean the same for every recognizer, and a decoder, to which axes of little variance can say much, finds those restored
    too. Both parts are kept at mean 0 and variance 1 as well (batch normalisation without a gain): otherwise small numbers
    in the identity part, and large ones in the attribute part, would satisfy the moments of any faces.
    `identity_means` (3, K − A), `attribute_means` (3, A): the mean parts of training faces, in the order of SOURCES.
    """

    def __init__(self, dimension: int, axes: int, attribute_size: int = 16, hidden: int = 128):
        super().__init__()
        if not 0 < attribute_size < axes:
            raise DfdError(f"disentangling.attribute_size: {attribute_size} of {axes} axes leave none for identity")
        self.config = {"dimension": dimension, "axes": axes, "attribute_size": attribute_size, "hidden": hidden}
        identity_size = axes - attribute_size
        self.identity = nn.Sequential(
            _Perceptron(axes, hidden, identity_size), nn.BatchNorm1d(identity_size, affine=False)
        )
        self.attribute = nn.Sequential(
            _Perceptron(axes, hidden, attribute_size), nn.BatchNorm1d(attribute_size, affine=False)
        )
        self.decoder = _Perceptron(axes, hidden, axes)
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("whitening", torch.zeros(dimension, axes))
        self.register_buffer("colouring", torch.zeros(axes, dimension))
        self.register_buffer("identity_means", torch.zeros(len(SOURCES), identity_size))
        self.register_buffer("attribute_means", torch.zeros(len(SOURCES), attribute_size))

    def set_statistics(self, templates: torch.Tensor) -> None:
        """Take what whitens, and what undoes it, from training templates (M, D)."""
        if not (templates != templates[0]).any():
            raise DfdError("disentangling: all training templates are equal; nothing can be learned from them")
        mean, matrix = whitening(templates, FLOOR)
        self.mean.copy_(mean)
        self.whitening.copy_(matrix[:, : self.config["axes"]])
        # W = A·V^(-1/2) with the covariance A·V·Aᵀ, so Wᵀ times it is V^(1/2)·Aᵀ: back along the axes that vary.
        centred = (templates - mean).double()
        self.colouring.copy_(self.whitening.double().T @ (centred.T @ centred) / len(templates))

    @torch.no_grad()
    def start(self, templates: torch.Tensor, male: torch.Tensor) -> None:
        """Begin as a rotation and its inverse: hundreds of steps are enough then, in place of a million faces.

        The first axis of the attribute part is the difference of the classes' mean templates (M, D), male (M,) bool;
        its others are those along which templates vary least, so that as little identity as possible lies in them. The
        identity part has the rest, turned at random.
        """
        white = self.whiten(templates)
        size = self.config["attribute_size"]
        identity_size = self.config["axes"] - size
        gap = white[male].mean(0) - white[~male].mean(0)
        axes = torch.column_stack([gap, torch.eye(len(gap)).flip(1)[:, :-1]])  # whitening's last axes vary least
        attribute, rest = torch.linalg.qr(axes)[0].T.split([size, identity_size])
        identity = nn.init.orthogonal_(torch.empty(identity_size, identity_size)) @ rest
        self.identity[0].linear.weight.copy_(identity)
        self.attribute[0].linear.weight.copy_(attribute)
        self.decoder.linear.weight.copy_(torch.cat([identity, attribute]).T)

    def whiten(self, templates: torch.Tensor) -> torch.Tensor:
        return (templates - self.mean) @ self.whitening

    @torch.no_grad()
    def set_means(self, templates: torch.Tensor, male: torch.Tensor) -> None:
        """Take the mean parts from training templates (M, D) with labels male (M,) bool."""
        for means, part in zip((self.identity_means, self.attribute_means), self.split(templates), strict=True):
            female, of_male = part[~male].mean(0), part[male].mean(0)
            means.copy_(torch.stack([female, of_male, (female + of_male) / 2]))

    def split(self, templates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The identity part (N, D − A) and the attribute part (N, A) of templates (N, D)."""
        white = self.whiten(templates)
        return self.identity(white), self.attribute(white)

    def join(self, identity: torch.Tensor, attribute: torch.Tensor) -> torch.Tensor:
        """Templates (N, D), in the recognizer's own units, from the two parts."""
        return self.decoder(torch.cat([identity, attribute], 1)) @ self.colouring + self.mean

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        return self.join(*self.split(templates))


def moment_gaps(part: torch.Tensor, male: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Δ² of the first and of the second moment: squared distances, ≥ 0, between the two classes' E[z] and E[z²].

    part: (N, K). male: (N,) bool, with both classes. The squares are summed over the K numbers: their mean would leave
    the demand K times weaker, and gender in the identity part.
    """
    one, other = part[male], part[~male]
    return (one.mean(0) - other.mean(0)).square().sum(), ((one**2).mean(0) - (other**2).mean(0)).square().sum()


def matching_loss(identity: torch.Tensor, male: torch.Tensor) -> torch.Tensor:
    """Δ₁² + Δ₂², in [0, ∞): how far the classes differ in the identity part (N, K)."""
    first, second = moment_gaps(identity, male)
    return first + second


def separating_loss(attribute: torch.Tensor, male: torch.Tensor) -> torch.Tensor:
    """exp(−Δ₁²) + exp(−Δ₂²), in (0, 2]: how alike the classes are in the attribute part (N, K)."""
    first, second = moment_gaps(attribute, male)
    return torch.exp(-first) + torch.exp(-second)


def loss_terms(net: PFRNet, templates: torch.Tensor, male: torch.Tensor) -> dict[str, torch.Tensor]:
    """The three terms, scalars, of templates (N, D): reconstruction (MSE, whitened), matching, separating."""
    identity, attribute = net.split(templates)
    restored = net.decoder(torch.cat([identity, attribute], 1))
    return {
        "reconstruction": F.mse_loss(restored, net.whiten(templates)),
        "matching": matching_loss(identity, male),
        "separating": separating_loss(attribute, male),
    }


class Faces(NamedTuple):
    """Templates (N, D) and male (N,) bool; and templates (N, D) of the mirrored faces, where there are any."""

    templates: torch.Tensor
    male: torch.Tensor
    mirrored: torch.Tensor | None = None


def train(
    net: PFRNet,
    training: Faces,
    validation: Faces,
    steps: int,
    batch_size: int,
    learning_rate: float,
    weight: float,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Train with Adam and one cycle of the learning rate; keep what did best on the validation faces.

    Every batch holds both classes in equal number, drawn with replacement, mirrored or not. weight: of the matching and
    of the separating loss. Returns the history: columns step, split, the three terms, and total. Both sets need both
    classes. The network needs its statistics before (`set_statistics`): faces without a label serve for those, too.
    """
    net.start(training.templates, training.male)
    classes = [torch.nonzero(training.male).flatten(), torch.nonzero(~training.male).flatten()]
    views = torch.stack([training.templates] + ([] if training.mirrored is None else [training.mirrored]))
    half = batch_size // 2
    male = torch.arange(2 * half) < half
    optimizer = torch.optim.Adam(net.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    history, best = [], None
    for step in range(1, steps + 1):
        net.train()
        rows = torch.cat([members[torch.randint(len(members), (half,), generator=generator)] for members in classes])
        terms = loss_terms(net, views[torch.randint(len(views), rows.shape, generator=generator), rows], male)
        loss = terms["reconstruction"] + weight * (terms["matching"] + terms["separating"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % max(1, steps // CHECKS) and step < steps:
            continue
        net.eval()
        with torch.no_grad():
            checked = loss_terms(net, validation.templates, validation.male)
        for split, values in (("train", terms), ("validation", checked)):
            row = {name: float(value.detach()) for name, value in values.items()}
            total = row["reconstruction"] + weight * (row["matching"] + row["separating"])
            history.append({"step": step, "split": split} | row | {"total": total})
        if best is None or total < best[0]:
            best = total, {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.load_state_dict(best[1])
    net.requires_grad_(False).eval().set_means(training.templates, training.male)
    return pd.DataFrame(history, columns=HISTORY)


def fit(
    settings, unlabelled: torch.Tensor, training: Faces, validation: Faces, seed: int
) -> tuple[PFRNet, pd.DataFrame, dict]:
    """A network trained by the settings (`disentangling` in params.yaml), its history and the metrics of its training.

    unlabelled: training templates (M, D), with or without a label.
    """
    torch.manual_seed(seed)
    axes = varying_axes(unlabelled)
    size = min(settings.attribute_size, axes // 2)
    net = PFRNet(unlabelled.shape[1], axes, size, settings.hidden)
    net.set_statistics(unlabelled)
    how = {name: getattr(settings, name) for name in ("steps", "batch_size", "learning_rate", "weight")}
    history = train(net, training, validation, **how, generator=torch.Generator().manual_seed(seed))
    best = history[history["split"] == "validation"].sort_values("total").iloc[0]
    metrics = {"n_faces": len(training.templates)} | net.config | {
        "best_step": int(best["step"]),
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "validation": best.drop(["step", "split"]).astype(float).to_dict(),
    }  # fmt: skip
    if size < settings.attribute_size:
        metrics["attribute_size_note"] = f"{settings.attribute_size} would be more than half of the {axes} axes"
    return net, history, metrics


def too_few(training: torch.Tensor, validation: torch.Tensor) -> str | None:
    """Why nothing can be learned from faces with these labels, male (N,) bool each; None where something can."""
    for name, male in (("training", training), ("validation", validation)):
        counts = {"male": int(male.sum()), "female": int((~male).sum())}
        if min(counts.values()) < FEWEST[name]:
            labelled = " and ".join(f"{count} {word}" for word, count in counts.items())
            return f"{labelled} {name} faces; at least {FEWEST[name]} of each are needed"
    return None


@torch.no_grad()
def parts(net: PFRNet, templates: torch.Tensor) -> dict[str, torch.Tensor]:
    """Templates (N, D) whole, their identity part and their attribute part, by name."""
    return {"whole": templates} | dict(zip(PARTS, net.split(templates), strict=True))


@torch.no_grad()
def modified(net: PFRNet, templates: torch.Tensor) -> dict[str, torch.Tensor]:
    """What Fig. 17 decodes, (b) to (h): templates (N, D) through the network with no part, or one, replaced by a mean.

    The names are `unmodified`, then `attribute-female`, `attribute-male`, `attribute-both`, and the same for
    `identity`.
    """
    identity, attribute = net.split(templates)
    joined = {"unmodified": net.join(identity, attribute)}
    for source, mean in zip(SOURCES, net.attribute_means, strict=True):
        joined[f"attribute-{source}"] = net.join(identity, mean.expand_as(attribute))
    for source, mean in zip(SOURCES, net.identity_means, strict=True):
        joined[f"identity-{source}"] = net.join(mean.expand_as(identity), attribute)
    return joined
