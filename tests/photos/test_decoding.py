"""Decoding photos of every odd kind: an upright RGB image, or the documented reason."""

import io
import struct
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, TiffTags

from dfd.photos.archives import Unread
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
    return png_file(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), zlib.compress(b"\0"))


def png_file(header: bytes, pixels: bytes) -> bytes:
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]:
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
    "unread, encrypted": (Unread("encrypted"), "encrypted"),
    "svg": (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'></svg>", "unsupported-format"),
    "a camera's raw file": (b"II*\0\x10\0\0\0CR\2\0" + bytes(100), "unsupported-format"),
    "jpeg xl": (b"\xff\x0a" + bytes(100), "unsupported-format"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n", "unsupported-format"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "unsupported-format"),
    "wholly transparent": (encoded(Image.new("RGBA", (64, 64), (200, 150, 120, 0)), "PNG"), "transparent"),
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


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("start", [b"Exif\0\0", b"Exif\0\0Exif\0\0"])
def test_damaged_exif_leaves_the_photo_as_its_pixels_lie(format, start):
    exif = start + b"MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 20
    options = {"lossless": True} if format == "WEBP" else {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
    pixels = decode(encoded(colours(), format, exif=exif, **options))
    assert np.abs(pixels - np.asarray(colours(), float)).max() < 10


@pytest.mark.parametrize("background, shown", [("white", [255, 255, 255]), ("#102030", [16, 32, 48])])
@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_transparent_pixels_are_the_backgrounds_whatever_colour_they_hide(transparency, background, shown):
    image = Image.new("P", (SIDE, SIDE))
    image.putpalette([255, 0, 255, 200, 100, 50])
    image.paste(1, (0, 0, SIDE // 2, SIDE))
    for kind in (image, image.convert("RGBA")):
        options = {"transparency": transparency} if kind is image else {}
        if kind is not image:
            kind.putalpha(Image.fromarray((np.asarray(image) == 1).astype(np.uint8) * 255))
        pixels = np.asarray(decode_photo(encoded(kind, "PNG", **options), 100, 16, background))
        assert (pixels[:, : SIDE // 2] == [200, 100, 50]).all() and (pixels[:, SIDE // 2 :] == shown).all()


def test_transparent_levels_of_16_bits():
    levels = np.full((SIDE, SIDE), 65535, np.uint16)
    levels[:, :8] = 7
    pixels = np.asarray(decode_photo(encoded(Image.fromarray(levels), "PNG", transparency=7), 100, 16, "red"))
    assert (pixels[:, :8] == [255, 0, 0]).all() and (pixels[:, 8:] == 255).all()


# What more than 8 bits mean

RAMP = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)
STATED = TiffImagePlugin.ImageFileDirectory_v2()
for TAG, LEVEL in ((340, 100.0), (341, 300.0)):  # SMinSampleValue, SMaxSampleValue
    STATED.tagtype[TAG] = TiffTags.FLOAT
    STATED[TAG] = (LEVEL,)

SCALED = {
    **{f"{bits} bits in a {kind}": ((RAMP * (2**bits - 1)).round().astype(np.uint16), kind, {})
       for bits in (8, 10, 12, 14, 16) for kind in ("PNG", "TIFF")},
    **{f"{bits} bits of 32": ((RAMP * (2**bits - 1)).round().astype(np.int32), "TIFF", {}) for bits in (10, 16)},
    **{f"floats to {white}": ((RAMP * white).astype(np.float32), "TIFF", {}) for white in (1, 255, 4095, 65535)},
    "floats about 0": ((RAMP * 2 - 1).astype(np.float32), "TIFF", {}),
    "a range that the file states": ((RAMP * 200 + 100).astype(np.float32), "TIFF", {"tiffinfo": STATED}),
}  # fmt: skip


@pytest.mark.parametrize("case", SCALED)
def test_levels_are_scaled_by_their_own_range(case):
    levels, kind, options = SCALED[case]
    pixels = decode(encoded(Image.fromarray(levels), kind, **options))
    np.testing.assert_allclose(pixels[..., 1], RAMP * 255, atol=0.6)


@pytest.mark.parametrize("maximum", [200, 1023, 4095, 65535])
def test_a_pgm_states_its_white(maximum):
    levels = (RAMP * 0.2 * maximum).round()  # a dark photo: its own brightest pixel is not white
    data = b"P5 %d %d %d\n" % (SIDE, SIDE, maximum) + levels.astype(">u2" if maximum > 255 else "u1").tobytes()
    np.testing.assert_allclose(decode(data)[..., 0], levels * 255 / maximum, atol=1)


def deep_png(pixels: np.ndarray) -> bytes:
    """48-bit RGB, which Pillow does not write."""
    rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels))
    return png_file(struct.pack(">IIBBBBB", *pixels.shape[1::-1], 16, 2, 0, 0, 0), rows)


UNKNOWN = {
    "float 0 to 20": encoded(Image.fromarray((RAMP * 20).astype(np.float32)), "TIFF"),
    "float -5 to 5": encoded(Image.fromarray((RAMP * 10 - 5).astype(np.float32)), "TIFF"),
    "float to a million": encoded(Image.fromarray((RAMP * 1e6).astype(np.float32)), "TIFF"),
    "31 bits": encoded(Image.fromarray((RAMP * (2**31 - 1)).astype(np.int32)), "TIFF"),
    "negative": encoded(Image.fromarray((RAMP * 1000 - 500).astype(np.int32)), "TIFF"),
    "colours of 12 bits in 48": deep_png(np.repeat(RAMP[..., None] * 4095, 3, -1)),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_levels_whose_white_nobody_knows_are_rejected(case):
    with pytest.raises(Rejected, match="unknown-range"):
        decode(UNKNOWN[case])


def test_colours_of_16_bits_are_scaled():
    pixels = decode(deep_png(np.repeat(RAMP[..., None] * 65535, 3, -1)))
    np.testing.assert_allclose(pixels[..., 2], RAMP * 255, atol=1)


def test_pixels_that_are_no_numbers_are_rejected_quietly(recwarn):
    levels = RAMP.astype(np.float32)
    levels[3, 3] = np.nan
    with pytest.raises(Rejected, match="not-finite"):
        decode(encoded(Image.fromarray(levels), "TIFF"))
    assert not recwarn.list


# Formats that Pillow does not read by itself


def test_avif_is_read():
    assert np.abs(decode(encoded(colours(), "AVIF", quality=95)) - np.asarray(colours(), float)).max() < 25


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_heic_names_the_package_that_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(Rejected, match="heic-needs-pillow-heif"):
        decode(HEIC + bytes(100))


def test_heic_is_read_where_the_package_is_there(monkeypatch):
    heif = SimpleNamespace(open_heif=lambda file: SimpleNamespace(to_pillow=colours))
    monkeypatch.setitem(sys.modules, "pillow_heif", heif)
    np.testing.assert_array_equal(decode(HEIC + bytes(100)), colours())
    heif.open_heif = lambda file: 1 / 0
    with pytest.raises(Rejected, match="damaged"):
        decode(HEIC + bytes(100))


def test_heic_as_the_package_itself_writes_it():
    heif = pytest.importorskip("pillow_heif")
    data = io.BytesIO()
    heif.from_pillow(colours()).save(data, quality=95)
    assert np.abs(decode(data.getvalue()) - np.asarray(colours(), float)).max() < 25
