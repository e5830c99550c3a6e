"""Decoding whatever people call a photo."""

import functools
import io
import logging
import warnings

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from dfd.photos.archives import Unread

log = logging.getLogger(__name__)

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit: here `max_megapixels` decides, before a pixel is decoded

HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # brands, at bytes 8 to 12
# The first bytes of pictures that Pillow does not read: TIFF of an odd kind and cameras' raw files, JPEG XL, PostScript,
# PDF, OpenEXR, Radiance, Fujifilm's raw.
UNSUPPORTED = (
    *(b"II*\0", b"MM\0*", b"\xff\x0a", b"\0\0\0\x0cJXL ", b"%!PS", b"%PDF", b"v/1\x01", b"#?RADIANCE"),
    b"FUJIFILMCCD-RAW",
)
DEPTHS = (8, 10, 12, 14, 16)  # bits of a camera's grey levels
TIFF_RANGES = ((340, 341), (280, 281))  # tags: SMinSampleValue and SMaxSampleValue, MinSampleValue and MaxSampleValue


class Rejected(Exception):
    """A photo that cannot become a face; `reason` is a kebab-case word for the index and the metrics."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def decode_photo(data: bytes, max_megapixels: float, min_side: int, background: str = "white") -> Image.Image:
    """The photo as upright 8-bit RGB: EXIF rotation applied (where its EXIF can be read), an animation's first frame,
    transparent pixels laid on `background` (a colour's name, or #rrggbb), CMYK, more bits and floats converted.

    Raises Rejected: `empty`, or why the bytes are missing (`Unread`); `not-an-image`; `unsupported-format`;
    `heic-needs-pillow-heif`, an optional package; `damaged` (truncated or corrupt); `too-large` (above `max_megapixels`,
    known from its header, before any pixel is decoded); `too-small` (a side below `min_side` pixels); `transparent`
    (wholly); `not-finite` and `unknown-range`, of pixels that are no grey levels.
    """
    if isinstance(data, Unread):
        raise Rejected(data.reason)
    if not data:
        raise Rejected("empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about EXIF that it passes over: they name neither photo nor remedy
        photo = _opened(data)
        if photo.width * photo.height > max_megapixels * 1e6:
            raise Rejected("too-large")
        if min(photo.size) < min_side:
            raise Rejected("too-small")
        try:
            grey = photo.mode.startswith("I") or photo.mode == "F"
            # Of colours of 16 bits Pillow keeps the upper 8; what comes from pillow-heif has no tiles.
            reduced = not grey and isinstance(photo, ImageFile.ImageFile) and ";16" in str(photo.tile)
            if photo.format != "MPO" and getattr(photo, "is_animated", False):
                _say_first_frame()
            photo.load()
            upright = _upright(photo)
            return _composed(_grey(upright, photo) if grey else upright, reduced, background)
        except Rejected:
            raise
        except MemoryError:
            raise Rejected("too-large") from None
        except Exception:  # noqa: BLE001 (Pillow's decoders raise whatever they stumble over in a corrupt file)
            raise Rejected("damaged") from None


def _opened(data: bytes) -> Image.Image:
    try:
        photo = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        if data[4:8] == b"ftyp" and data[8:12] in HEIF:
            return _heif(data)
        known = data.startswith(UNSUPPORTED) or data[4:8] == b"ftyp" or b"<svg" in data[:1000]
        raise Rejected("unsupported-format" if known else "not-an-image") from None
    except Exception:  # noqa: BLE001 (as below)
        raise Rejected("damaged") from None
    # EPS would run Ghostscript; a stub has no decoder.
    if photo.format == "EPS" or isinstance(photo, ImageFile.StubImageFile):
        raise Rejected("unsupported-format")
    return photo


def _heif(data: bytes) -> Image.Image:
    try:
        import pillow_heif  # the extra `heic` of this project
    except ImportError:
        raise Rejected("heic-needs-pillow-heif") from None
    try:
        return pillow_heif.open_heif(io.BytesIO(data)).to_pillow()
    except Exception:  # noqa: BLE001 (as below)
        raise Rejected("damaged") from None


@functools.cache
def _say_first_frame() -> None:
    log.warning("of photos with several frames (animations, pages) the first one is taken")


def _upright(photo: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(photo)
    except Exception:  # noqa: BLE001 (in EXIF that cannot be read no rotation is told)
        return photo


def _grey(upright: Image.Image, photo: Image.Image) -> Image.Image:
    """8 bits of a photo of more, which Pillow's convert() would clip; `photo`, as it was opened, tells their range."""
    values = np.asarray(upright, dtype=np.float64)
    if not np.isfinite(values).all():
        raise Rejected("not-finite")
    black, white = _stated_range(photo) or (0.0, _white(values, photo.mode))
    if photo.mode == "F" and black == 0 and white == 1 and values.min() < 0:
        black = -1.0
    if values.min() < black:
        raise Rejected("unknown-range")
    grey = Image.fromarray(((values - black) * (255.0 / (white - black))).clip(0, 255).round().astype(np.uint8))
    if "transparency" in photo.info:  # a level that stands for nothing
        grey.putalpha(Image.fromarray((values != photo.info["transparency"]).astype(np.uint8) * 255))
    return grey


def _stated_range(photo: Image.Image) -> tuple[float, float] | None:
    """(black, white) where the file says which levels these are."""
    if photo.format == "PPM":  # Pillow has scaled it by its own maximum
        return 0.0, 65535.0
    tags = photo.tag_v2 if photo.format == "TIFF" else {}
    for least, most in TIFF_RANGES:
        if least in tags and most in tags:
            black, white = (float(np.ravel(tags[tag])[0]) for tag in (least, most))
            if np.isfinite([black, white]).all() and black < white:
                return black, white
    return None


def _white(values: np.ndarray, mode: str) -> float:
    """The least level of a usual white that no pixel exceeds: 1 for floats, else that of a camera's bits.

    Raises Rejected, `unknown-range`, above 16 bits, and where all pixels are dark by that measure.
    """
    whites = [1.0] * (mode == "F") + [2.0**bits - 1 for bits in DEPTHS]
    white = next((white for white in whites if values.max() <= white), np.inf)
    if not _reaches(values.max(), white):
        raise Rejected("unknown-range")
    return white


def _reaches(most: float, white: float) -> bool:
    """Whether a photo with this brightest pixel may have this white: no photo stays below a quarter of it."""
    return most >= white / 4


def _composed(photo: Image.Image, reduced: bool, background: str) -> Image.Image:
    """The photo as RGB, its transparent pixels as `background`."""
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        if photo.getextrema()[3][1] == 0:
            raise Rejected("transparent")
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, background), photo)
    photo = photo.convert("RGB")
    if reduced and not _reaches(max(most for _, most in photo.getextrema()), 255):
        raise Rejected("unknown-range")
    return photo
