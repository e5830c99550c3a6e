"""Rotations, translations and scalings of a face as views of its context crop (paper, section 4.3.1)."""

from collections.abc import Sequence

import numpy as np

SHIFTS = {"left": (1, 0), "right": (-1, 0), "up": (0, 1), "down": (0, -1)}  # where the view looks, for the face to move


def rotation(degrees: float) -> np.ndarray:
    """The view (2, 3) in which the face is turned by `degrees`, counter-clockwise for positive ones."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])


def translation(direction: str, share: float) -> np.ndarray:
    """The view (2, 3) in which the face has moved by `share` of the window's side."""
    x, y = SHIFTS[direction]
    return np.array([[1, 0, 2 * share * x], [0, 1, 2 * share * y]], dtype=float)


def scaling(factor: float) -> np.ndarray:
    """The view (2, 3) in which the face is `factor` times as large."""
    return np.array([[1 / factor, 0, 0], [0, 1 / factor, 0]])


def perturbations(rotate: int, translate: float, scale: Sequence[float]) -> dict[str, np.ndarray]:
    """Every perturbation by its name, as a view: `rotate-150` … `rotate+180`, `translate-left` …, `scale-0.5` ….

    rotate: degrees between rotations (no rotation is left out; −180 is the same as +180); translate: share of the
    window's side; scale: factors.
    """
    turns = {f"rotate{angle:+d}": rotation(angle) for angle in range(-(179 // rotate) * rotate, 181, rotate) if angle}
    shifts = {f"translate-{direction}": translation(direction, translate) for direction in SHIFTS}
    scalings = {f"scale-{factor:g}": scaling(factor) for factor in scale}
    return turns | shifts | scalings
