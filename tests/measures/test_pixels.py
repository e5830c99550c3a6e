"""Pixel measures of regions: closed forms, and the plain measures where the region is everything."""

import pytest
import torch

from dfd.measures.pixels import change_share, grey_levels, mean_within, pairwise_grey_levels, psnr_within, to_8bit
from dfd.measures.quality import psnr


@pytest.fixture
def images():
    return torch.rand(2, 5, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def half(size=12):
    """The region left of the middle, (1, 1, size, size)."""
    region = torch.zeros(1, 1, size, size)
    region[..., : size // 2] = 1
    return region


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_8bit_makes_images_of_their_own(images, dtype):
    given = (1.4 * images[0] - 0.2).to(dtype)
    for some in (given, given[:1].expand(5, -1, -1, -1), given.permute(0, 1, 3, 2), given[..., ::2]):
        before = some.clone()
        expected = (before.float().clamp(0, 1) * 255).round() / 255
        assert torch.equal(to_8bit(some), expected) and torch.equal(some, before)


def test_within_everything_it_is_the_plain_psnr(images):
    torch.testing.assert_close(psnr_within(*images, torch.ones(5, 1, 12, 12)), psnr(*images), atol=1e-4, rtol=0)


def test_only_the_region_counts(images):
    a, b = images
    changed = torch.where(half().bool(), a, b)
    assert torch.isinf(psnr_within(changed, a, half().expand(5, -1, -1, -1))).all()
    right = 1 - half().expand(5, -1, -1, -1)
    expected = psnr(a[..., 6:], b[..., 6:])
    torch.testing.assert_close(psnr_within(changed, a, right), expected, atol=1e-4, rtol=0)


def test_shares_of_a_known_change():
    before = torch.zeros(1, 3, 4, 4)
    after = before.clone()
    after[..., 0, 0], after[..., 0, 3] = 0.2, 0.1  # squared: 4 to 1
    assert change_share(before, after, half(4)).item() == pytest.approx(0.8)
    assert change_share(before, before + 0.3, half(4)).item() == pytest.approx(
        0.5
    )  # a change without a place: the area
    assert change_share(before, before + 0.3, 0.25 * torch.ones(1, 1, 4, 4)).item() == pytest.approx(0.25)
    assert change_share(before, before, half(4)).isnan().all()
    lighter = after + torch.tensor([0.3, -0.2, 0.1]).view(1, 3, 1, 1)  # elsewhere as much as there
    assert change_share(before, lighter, half(4)).item() == pytest.approx(0.5, abs=0.05)
    expected = change_share(before, after - after.mean((2, 3), keepdim=True), half(4)).item()
    assert change_share(before, lighter, half(4), centred=True).item() == pytest.approx(expected)
    assert expected > 0.7


def test_means_within_a_region():
    values = torch.arange(4.0).view(1, 1, 1, 4).expand(2, 3, 4, 4)
    torch.testing.assert_close(mean_within(values, half(4).expand(2, -1, -1, -1)), torch.tensor([0.5, 0.5]))


def test_grey_levels_between_images(images):
    a, b = images
    assert grey_levels(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)).item() == pytest.approx(25.5)
    found = pairwise_grey_levels(torch.cat([a, b]))
    torch.testing.assert_close(found, found.T)
    assert (found.diagonal() == 0).all()
    expected = torch.stack([grey_levels(a, other.expand_as(a)) for other in b], dim=1)
    torch.testing.assert_close(found[:5, 5:].float(), expected, atol=1e-3, rtol=0)
