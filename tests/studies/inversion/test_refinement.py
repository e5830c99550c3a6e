"""Refinement brings what a recognizer sees nearer to a template, and is the same again."""

import torch
import torch.nn.functional as F

from dfd.recognizers.base import Recognizer
from dfd.studies.inversion.refinement import refined
from dfd.templates.embedding import embed_images


class Coarse(Recognizer):
    """Whose template is the picture at 4×4 pixels, in grey: what jitter leaves."""

    def __init__(self):
        super().__init__(32, "all", "all", 128.0, 1 / 128, window="dlib")

    def _layers(self, x):
        yield "all", F.avg_pool2d(x.mean(1, keepdim=True), 8)


def scenes(seed: int) -> torch.Tensor:
    """Ten pictures of large patches."""
    coarse = torch.rand(10, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (40, 40), mode="bilinear")


def test_refined_faces_are_nearer_to_their_templates():
    recognizer, images = Coarse().place("portrait"), scenes(0)
    wanted = embed_images(recognizer, scenes(1))
    state = torch.get_rng_state()
    after = refined(images, wanted, recognizer, 12, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert after.shape == images.shape and after.min() >= 0 and after.max() <= 1
    nearer = [F.cosine_similarity(embed_images(recognizer, part), wanted) for part in (images, after)]
    assert (nearer[1] > nearer[0]).float().mean() > 0.8 and nearer[1].mean() > nearer[0].mean()
    assert torch.equal(refined(images, wanted, recognizer, 12, seed=1), after)
    assert torch.equal(refined(images, wanted, recognizer, 0, seed=1), images)
