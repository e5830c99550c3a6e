"""Decoding whatever people call a photo."""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit: here `max_megapixels` decides, before a pixel is decoded


class Rejected(Exception):
    """A photo that cannot become a face; `reason` is a kebab-case word for the index and the metrics."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def decode_photo(data: bytes, max_megapixels: float, min_side: int) -> Image.Image:
    """The photo as upright 8-bit RGB: EXIF rotation applied, an animation's first frame, CMYK and 16 bits converted.

    Raises Rejected: `empty`, `not-an-image`, `damaged` (truncated or corrupt), `too-large` (above `max_megapixels`,
    known from its header, before any pixel is decoded) or `too-small` (a side below `min_side` pixels).
    """
    if not data:
        raise Rejected("empty")
    try:
        photo = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise Rejected("not-an-image") from None
    except Exception:  # noqa: BLE001 (Pillow's readers raise whatever they stumble over in a corrupt file)
        raise Rejected("damaged") from None
    if photo.width * photo.height > max_megapixels * 1e6:
        raise Rejected("too-large")
    if min(photo.size) < min_side:
        raise Rejected("too-small")
    try:
        photo.load()
        return _to_rgb(ImageOps.exif_transpose(photo))
    except MemoryError:
        raise Rejected("too-large") from None
    except Exception:  # noqa: BLE001 (and so do its decoders)
        raise Rejected("damaged") from None


def _to_rgb(photo: Image.Image) -> Image.Image:
    if photo.mode.startswith("I") or photo.mode == "F":  # 16 bits and more, which Pillow's convert() would clip
        values = np.asarray(photo, dtype=np.float64)
        white = 65535.0 if values.max() > 255 else 255.0
        photo = Image.fromarray((values.clip(0, white) * (255.0 / white)).round().astype(np.uint8))
    return photo.convert("RGB")
