"""Decoding photos of every odd kind: an upright RGB image, or the documented reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dfd.photos.decoding import Rejected, decode_photo

SIDE = 32


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def colours() -> Image.Image:
    """Smooth enough for JPEG, and no two corners alike."""
    y, x = np.mgrid[0:SIDE, 0 : 2 * SIDE] / (2 * SIDE)
    return Image.fromarray((np.stack([x, y * 2, 1 - x], -1) * 255).round().astype(np.uint8))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds one compressed byte."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0")),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in chunks:
        data += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return data


def decode(data: bytes, max_megapixels: float = 100, min_side: int = 16) -> np.ndarray:
    image = decode_photo(data, max_megapixels, min_side)
    assert image.mode == "RGB"
    return np.asarray(image)


JPEG = encoded(colours(), "JPEG")
REJECTS = {
    "no bytes": (b"", "empty"),
    "text": (b"not a photo at all, but a README", "not-an-image"),
    "zeros": (bytes(1000), "not-an-image"),
    "jpeg cut in its pixels": (JPEG[: len(JPEG) * 3 // 4], "damaged"),
    "png cut in its pixels": (encoded(Image.effect_noise((64, 64), 50), "PNG")[:1000], "damaged"),
    "png with damaged pixels": (png_header(64, 64), "damaged"),
    "400 megapixels": (png_header(20000, 20000), "too-large"),
    "101 megapixels": (png_header(10100, 10000), "too-large"),
    "1x1": (encoded(Image.new("RGB", (1, 1)), "PNG"), "too-small"),
    "a strip": (encoded(Image.new("L", (500, 15)), "PNG"), "too-small"),
}


@pytest.mark.parametrize("case", REJECTS)
def test_rejected_with_a_reason(case):
    data, reason = REJECTS[case]
    with pytest.raises(Rejected) as rejected:
        decode(data)
    assert rejected.value.reason == reason


def test_a_large_photo_is_rejected_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(Rejected, match="too-large"):
        decode(png_header(10100, 10000))


@pytest.mark.parametrize("length", range(1, len(JPEG), 23))
def test_a_photo_cut_anywhere_is_rejected_not_raised(length):
    with pytest.raises(Rejected):
        decode(JPEG[:length])


@pytest.mark.parametrize(
    "mode, format", [("RGB", "PNG"), ("RGB", "BMP"), ("RGB", "WEBP"), ("RGBA", "PNG"), ("RGB", "TIFF")]
)
def test_lossless_colours_are_kept(mode, format):
    options = {"lossless": True} if format == "WEBP" else {}
    np.testing.assert_array_equal(decode(encoded(colours().convert(mode), format, **options)), colours())


def test_jpeg_and_cmyk_jpeg():
    wanted = np.asarray(colours(), float)
    assert np.abs(decode(encoded(colours(), "JPEG", quality=95, subsampling=0)) - wanted).max() < 10
    assert np.abs(decode(encoded(colours().convert("CMYK"), "JPEG", quality=95)) - wanted).max() < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_becomes_three_equal_channels(mode):
    grey = colours().convert("L").convert(mode)
    pixels = decode(encoded(grey, "PNG"))
    np.testing.assert_array_equal(pixels, np.repeat(np.asarray(grey.convert("L"))[..., None], 3, -1))


def test_16_bit_grey_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, SIDE * SIDE).round().astype(np.uint16).reshape(SIDE, SIDE)
    pixels = decode(encoded(Image.fromarray(ramp), "PNG"))
    np.testing.assert_allclose(pixels[..., 1], ramp / 257, atol=0.51)
    assert len(np.unique(pixels)) == 256


def test_of_an_animation_the_first_frame():
    frames = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ("red", "lime", "blue")]
    pixels = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (pixels == [255, 0, 0]).all()


# EXIF orientation -> where the photo's top left corner lies in the stored pixels
ORIENTATIONS = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),  # the camera was turned clockwise, so the pixels lie counter-clockwise
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_rotation_comes_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(ORIENTATIONS[orientation](np.asarray(colours()))))
    pixels = decode(encoded(stored, "JPEG", quality=95, subsampling=0, exif=exif))
    assert np.abs(pixels - np.asarray(colours(), float)).max() < 10


@pytest.mark.filterwarnings("ignore")
def test_damaged_exif_leaves_the_photo():
    pixels = decode(
        encoded(colours(), "JPEG", quality=95, subsampling=0, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 20)
    )
    assert pixels.shape == (SIDE, 2 * SIDE, 3)


@pytest.mark.filterwarnings("ignore:Palette images")
@pytest.mark.parametrize("transparency", [0, bytes([0, 128])])
def test_palette_with_transparency_keeps_its_colours(transparency):
    image = Image.new("P", (SIDE, SIDE))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (0, 0, SIDE // 2, SIDE))
    pixels = decode(encoded(image, "PNG", transparency=transparency))
    assert (pixels[:, : SIDE // 2] == [200, 100, 50]).all() and (pixels[:, SIDE // 2 :] == [10, 20, 30]).all()
