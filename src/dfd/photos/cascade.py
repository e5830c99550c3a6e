"""MTCNN's cascade (Zhang et al., 2016): facenet-pytorch's networks and its boxes, without its loops over single boxes.

P-Net looks at every place of a pyramid of small copies of the photos, R-Net and O-Net at what it proposes, each
reduced to 24 and 48 pixels. Such means of rectangles come from one table of sums per photo, in whole numbers: exactly
what average pooling of every crop gives, for four look-ups a pixel. The networks see a few boxes at a time, as many as
a CPU's cache holds activations of.
"""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from facenet_pytorch import MTCNN
from facenet_pytorch.models.utils.detect_face import batched_nms_numpy, bbreg, generateBoundingBox, rerec
from torchvision.ops.boxes import batched_nms

AT_ONCE = 1 << 16  # pixels that a network sees at once
PACKED = 1024  # photos up to this shorter side, in pixels, have cells whose sums fit 21 bits: three colours in 63


class Means:
    """Mean grey levels of rectangles of photos, uint8 (N, H, W, 3)."""

    def __init__(self, photos: torch.Tensor):
        self.height, self.width = photos.shape[1:3]
        colours = 3 if min(self.height, self.width) <= PACKED else 1  # in one whole number
        self.bits = 63 // colours
        self.tables = []  # of the sums of all pixels above and to the left
        for first in range(0, 3, colours):
            packed = sum(photos[..., first + place].long() << place * self.bits for place in range(colours))
            self.tables.append(F.pad(packed.cumsum(1).cumsum(2), (1, 0, 1, 0)).flatten())

    @property
    def device(self) -> torch.device:
        return self.tables[0].device

    def inputs(self, photo: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> Iterator[torch.Tensor]:
        """What a network is to see of boxes (n, 4), each of one photo: (part of n, 3, *size), a part at a time.

        boxes: whole pixels left, top, right, bottom, the last two excluded.
        """
        parts = -(-len(boxes) * size[0] * size[1] // AT_ONCE)
        for which, box in zip(photo.tensor_split(parts), boxes.tensor_split(parts), strict=True):
            (left, right, wide), (top, bottom, high) = (
                _cells(box[:, axis], box[:, axis + 2], size[1 - axis]) for axis in (0, 1)
            )
            rows = which[:, None] * (self.height + 1)
            above, below = ((rows + edge)[:, :, None] * (self.width + 1) for edge in (top, bottom))
            left, right = left[:, None], right[:, None]
            corners = below + right, above + right, below + left, above + left
            images = torch.empty(len(box), *size, 3, device=self.device)
            for number, table in enumerate(self.tables):
                a, b, c, d = (table.index_select(0, places.flatten()).view(places.shape) for places in corners)
                total = a - b - c + d  # whatever overflowed comes right again
                for place in range(3 // len(self.tables)):
                    images[..., number + place] = total >> place * self.bits & (1 << self.bits) - 1
            # Divided one after the other, as pooling does: the same rounding.
            images.div_(high[:, :, None, None]).div_(wide[:, None, :, None]).sub_(127.5).mul_(0.0078125)
            yield images.permute(0, 3, 1, 2)


def _cells(start: torch.Tensor, end: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The starts, ends and lengths (n, count) of `count` cells that cover [start, end), whole pixels; they may overlap."""
    numbers, length = torch.arange(count, device=start.device), (end - start)[:, None]
    first = numbers * length // count
    last = -(-(numbers + 1) * length // count)
    return start[:, None] + first, start[:, None] + last, last - first


@torch.inference_mode()
def find_faces(mtcnn: MTCNN, photos: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The faces of each of the photos, uint8 (N, H, W, 3), in no order: boxes (F, 5), left, top, right, bottom and
    probability, and landmarks (F, 5, 2), on the CPU. Thresholds and the smallest face are those of `mtcnn`."""
    means, nothing = Means(photos), [(torch.zeros(0, 5), torch.zeros(0, 5, 2))] * len(photos)
    boxes, photo = _proposed(mtcnn, means, len(photos))

    judged = _judged(mtcnn.rnet, mtcnn.thresholds[1], 24, means, boxes, photo)
    if judged is None:
        return nothing
    boxes, photo, corrections = judged
    picked = batched_nms(boxes[:, :4], boxes[:, 4], photo, 0.7)
    boxes, photo = rerec(bbreg(boxes[picked], corrections[picked])), photo[picked]

    judged = _judged(mtcnn.onet, mtcnn.thresholds[2], 48, means, boxes, photo)
    if judged is None:
        return nothing
    boxes, photo, corrections, points = judged
    sides = boxes[:, 2:4] - boxes[:, :2] + 1
    points = points.view(-1, 2, 5).transpose(1, 2) * sides[:, None] + boxes[:, None, :2] - 1
    boxes = bbreg(boxes, corrections)
    picked = batched_nms_numpy(boxes[:, :4], boxes[:, 4], photo, 0.7, "Min")
    boxes, photo, points = boxes[picked].cpu(), photo[picked].cpu(), points[picked].cpu()
    return [(boxes[photo == number], points[photo == number]) for number in range(len(photos))]


def _proposed(mtcnn: MTCNN, means: Means, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """P-Net's square boxes (n, 5) with probabilities, and whose they are (n,), of `count` photos."""
    scale = 12 / mtcnn.min_face_size
    shorter = min(means.height, means.width) * scale
    numbers = torch.arange(count, device=means.device)
    all_of_it = torch.tensor([[0, 0, means.width, means.height]], device=means.device).expand(count, 4)
    boxes, photo = [], []
    while shorter >= 12:
        size = int(means.height * scale + 1), int(means.width * scale + 1)
        corrections, probabilities = _run(mtcnn.pnet, means.inputs(numbers, all_of_it, size))
        at_scale, whose = generateBoundingBox(corrections, probabilities[:, 1], scale, mtcnn.thresholds[0])
        picked = batched_nms(at_scale[:, :4], at_scale[:, 4], whose, 0.5)
        boxes.append(at_scale[picked])
        photo.append(whose[picked])
        scale, shorter = scale * mtcnn.factor, shorter * mtcnn.factor
    boxes, photo = torch.cat(boxes), torch.cat(photo)
    picked = batched_nms(boxes[:, :4], boxes[:, 4], photo, 0.7)
    boxes, photo = boxes[picked], photo[picked]
    corners, sides = boxes[:, :4], (boxes[:, 2:4] - boxes[:, :2]).repeat(1, 2)
    return rerec(torch.cat([corners + boxes[:, 5:9] * sides, boxes[:, 4:5]], dim=1)), photo


def _judged(
    network: torch.nn.Module, threshold: float, side: int, means: Means, boxes: torch.Tensor, photo: torch.Tensor
) -> tuple[torch.Tensor, ...] | None:
    """The boxes (n, 5) that a network takes for faces, with its probability; whose they are, and what else it says of
    them. None where it has nothing to look at, or takes nothing for a face."""
    whole = boxes[:, :4].trunc().long()
    whole[:, :2] = (whole[:, :2] - 1).clamp(min=0)
    whole[:, 2:] = whole[:, 2:].clamp(max=torch.tensor([means.width, means.height], device=whole.device))
    seen = (whole[:, 2:] > whole[:, :2]).all(1)  # some lie outside their photo
    boxes, photo, whole = boxes[seen, :4], photo[seen], whole[seen]
    if not len(boxes):
        return None
    *said, probabilities = _run(network, means.inputs(photo, whole, (side, side)))
    kept = probabilities[:, 1] > threshold
    if not kept.any():
        return None
    return torch.cat([boxes[kept], probabilities[kept, 1:]], dim=1), photo[kept], *(values[kept] for values in said)


def _run(network: torch.nn.Module, inputs: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    return [torch.cat(parts) for parts in zip(*map(network, inputs), strict=True)]
