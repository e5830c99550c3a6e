"""Identification: a softmax layer on a frozen recognizer's templates, with a class for each enrolled person."""

import torch
import torch.nn.functional as F
from torch import nn

STRENGTH = 1.0  # of the ridge on the weights: scikit-learn's default


class IdentificationHead(nn.Module):
    """Logits (N, people) of templates (N, D): affine in templates of length 1, centred and brought to variance 1.

    The variance is that of the mean axis: axes are not scaled apart, so few photos do not blow up those with little.
    """

    def __init__(self, dimension: int, people: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("spread", torch.ones(()))
        self.linear = nn.Linear(dimension, people)

    def normalised(self, templates: torch.Tensor) -> torch.Tensor:
        """What the layer is affine in, (N, D)."""
        return (F.normalize(templates) - self.mean) / self.spread

    def forward(self, templates: torch.Tensor) -> torch.Tensor:
        return self.linear(self.normalised(templates))


def fit_identification(templates: torch.Tensor, people: torch.Tensor) -> IdentificationHead:
    """The head that multinomial logistic regression finds: convex, so without chance; without gradients for its weights.

    templates: (M, D), of enrolled photos, on the CPU. people: (M,), whom each shows: 0, 1, …, each at least once.
    Raises ValueError for fewer than two people, or numbers left out.
    """
    from sklearn.linear_model import LogisticRegression  # here: the import takes a second

    classes = torch.unique(people)
    if len(classes) < 2 or not torch.equal(classes, torch.arange(len(classes))):
        raise ValueError(f"people must be numbered 0, 1, … and be at least two, not {classes.tolist()[:5]}")
    head = IdentificationHead(templates.shape[1], len(classes)).requires_grad_(False)
    units = F.normalize(templates)
    head.mean.copy_(units.mean(0))
    head.spread.copy_((units - head.mean).square().mean().sqrt().clamp_min(1e-12))
    regression = LogisticRegression(C=1 / STRENGTH, max_iter=5000)
    regression.fit(head.normalised(templates).double().numpy(), people.numpy())
    weight, bias = torch.from_numpy(regression.coef_), torch.from_numpy(regression.intercept_)
    if len(classes) == 2:  # one logit z of the second class: softmax of (−z/2, z/2) is its sigmoid
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    head.linear.weight.copy_(weight)
    head.linear.bias.copy_(bias)
    return head.eval()
