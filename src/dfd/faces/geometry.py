"""Face windows: which square of the photo is the face, what each recognizer sees of it, and how both are sampled.

A window is a (2, 3) matrix W that maps window coordinates, [-1, 1]² over the plain view (x right, y down), to photo
pixels (the centre of the top left pixel is 0, 0). Every view of a face is one affine sampling: of the photo for the
stored context crop, of the context crop for the plain view and its perturbations.

Every recognizer was trained on a window of its own, by other landmarks than ours. `seen_window` places it in the plain
view, so that it cuts its own window out of any face, a photo's or a reconstruction's, by one affine more.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from dfd.core.errors import DfdError

# Where the eyes and the mouth corners lie in the window of `aligned`, as fractions of its side: dlib's chip geometry
# with a quarter of padding on each side. Rows: left eye, right eye, left and right mouth corner.
ALIGNED = (np.array([[0.2273, 0.2214], [0.7528, 0.2212], [0.2541, 0.7802], [0.7261, 0.7802]]) + 0.25) / 1.5
ALIGNED_LANDMARKS = [0, 1, 3, 4]  # of MTCNN's five; the nose tip moves with the pose
# ArcFace's reference points in a window of 112×112 pixels (insightface): left eye, right eye, nose, mouth corners.
ARCFACE = [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]

# Where the plain view of each geometry lies in the window of `aligned`: from its [-1, 1]² to that window's. `portrait`
# holds the windows of all recognizers. A box is not aligned: this is where MTCNN's boxes of LFW's faces lie on average.
FRAMES = {
    "aligned": np.array([[1.0, 0, 0], [0, 1.0, 0]]),
    "portrait": np.array([[1.2, 0, 0], [0, 1.2, -0.19]]),
    "box": np.array([[1.0223, 0, 0], [0, 1.0223, -0.139]]),
}


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift (2, 3) that best maps points (K, 2) onto others: least squares over
    x' = a·x − b·y + s, y' = b·x + a·y + t (Umeyama, 1991, in two dimensions and without reflection)."""
    centre, target_centre = source.mean(0), target.mean(0)
    source, offset = source - centre, target - target_centre
    norm = (source**2).sum()
    a = (source * offset).sum() / norm
    b = (source[:, 0] * offset[:, 1] - source[:, 1] * offset[:, 0]).sum() / norm
    linear = np.array([[a, -b], [b, a]])
    return np.column_stack([linear, target_centre - linear @ centre])


def after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine map (2, 3) that does `first`, then `second`."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The affine map (2, 3) that undoes `matrix`."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def aligned_window(box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The similarity that best maps the eyes and mouth of dlib's chip onto `landmarks` (5, 2)."""
    return similarity(ALIGNED * 2 - 1, landmarks[ALIGNED_LANDMARKS])


def portrait_window(box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """`aligned_window`, 1.2 times as wide and somewhat higher: it has the windows of dlib's and ArcFace's networks inside."""
    return after(aligned_window(box, landmarks), FRAMES["portrait"])


def box_window(box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The paper's crop: the square of side max(width, height) centred on the detection box (4,), upright."""
    half = max(box[2] - box[0], box[3] - box[1]) / 2
    return np.array([[half, 0, (box[0] + box[2]) / 2], [0, half, (box[1] + box[3]) / 2]])


def pixel_points_window(points: Sequence[Sequence[float]], size: tuple[float, float]) -> np.ndarray:
    """The window (2, 3), in that of `aligned`, of an input of (height, width) pixels in which a face has its landmarks at
    `points` (5, 2): pixels x, y (the centre of the top left pixel is 0, 0) of left eye, right eye, nose, left and right
    mouth corner.

    Raises DfdError for anything else than five points with two different ones among the eyes and mouth corners.
    """
    try:
        points = np.asarray(points, dtype=float)
    except (TypeError, ValueError):  # words, or rows of different lengths
        points = np.empty(0)
    if points.shape != (5, 2) or not np.isfinite(points).all() or np.ptp(points[ALIGNED_LANDMARKS], axis=0).min() <= 0:
        raise DfdError(
            "`window`: five points [x, y] in pixels of the input are left eye, right eye, nose, left and right mouth corner"
        )
    halves = np.array([size[1] / 2, size[0] / 2])
    placed = similarity(points[ALIGNED_LANDMARKS], ALIGNED * 2 - 1)
    return after(placed, np.column_stack([np.diag(halves), halves - 0.5]))


def _arcface_window(size: tuple[int, int]) -> np.ndarray:
    """The same part of a face at any height; a narrower input has lost as much on either side (112×96)."""
    width = 112 * size[1] / size[0]  # of an input of the same shape, 112 pixels high
    return pixel_points_window(np.array(ARCFACE) - [(112 - width) / 2, 0], (112, width))


# name -> the window, in that of `aligned`, of an input of (height, width) pixels
WINDOWS = {
    "dlib": lambda size: FRAMES["aligned"],
    "arcface": _arcface_window,
    "box": lambda size: FRAMES["box"],
}
TOLERANCE = (
    0.01  # half-sides by which a window may leave the plain view: half a pixel of 112, of ArcFace's in `portrait`
)
WITHOUT_LANDMARKS = "box"  # the window, and the geometry, that the detector's box alone decides


def seen_window(window: str | Sequence[Sequence[float]], size: tuple[int, int], geometry: str) -> np.ndarray:
    """Where a recognizer's window lies in the plain view of a geometry: (2, 3) from its input's [-1, 1]² to the view's.

    window: a name in WINDOWS, or five points as in `pixel_points_window`. size: (height, width) of the input in pixels.
    Raises DfdError for an unknown window, one that leaves the plain view, and one of landmarks where faces have none.
    """
    if isinstance(window, str) and window not in WINDOWS:
        raise DfdError(f"`window`: no window is called {window}; there are {', '.join(WINDOWS)}, or give five points")
    if geometry == WITHOUT_LANDMARKS:
        if window != WITHOUT_LANDMARKS:
            raise DfdError(
                f"its window ({_window_name(window)}) is placed by landmarks, and faces.geometry: box is not aligned by any; "
                "set faces.geometry: portrait"
            )
        return FRAMES["aligned"]
    inside = WINDOWS[window](size) if isinstance(window, str) else pixel_points_window(window, size)
    placed = after(inverse(FRAMES[geometry]), inside)
    reach = np.abs(np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) @ placed[:, :2].T + placed[:, 2]).max()
    if reach > 1 + TOLERANCE:
        raise DfdError(
            f"its window ({_window_name(window)}) leaves the plain view of faces.geometry: {geometry} by "
            f"{50 * (reach - 1):.0f} % of the view's side; set faces.geometry: portrait, or another window"
        )
    return placed


def crop_window(window: str, size: tuple[int, int], geometry: str) -> np.ndarray:
    """The window of a geometry in a photo of (width, height) that is itself a face's window, one in WINDOWS; of a photo
    that is not square, the square around it is. In `box` the face is taken to lie where boxes lie on average.
    """
    side = max(size)
    pixels = np.array([[side / 2, 0, (size[0] - 1) / 2], [0, side / 2, (size[1] - 1) / 2]])
    return after(after(pixels, inverse(WINDOWS[window]((side, side)))), FRAMES[geometry])


def given_window(place: np.ndarray, geometry: str) -> np.ndarray:
    """The window of a geometry about a face whose landmarks (5, 2) or box (4,) are given. Where the geometry is placed
    by the other of the two, this lies where it does on average."""
    if len(place) == 4:
        aligned = after(box_window(place, None), inverse(FRAMES["box"]))
    else:
        aligned = aligned_window(None, place)
    return after(aligned, FRAMES[geometry])


def usual_landmarks(window: np.ndarray, geometry: str) -> np.ndarray:
    """Where the landmarks (5, 2) of a face lie on average, in the photo's pixels: ArcFace's, for its window (2, 3) of a geometry."""
    arcface = after(window, after(inverse(FRAMES[geometry]), WINDOWS["arcface"]((112, 112))))
    return ((np.array(ARCFACE) + 0.5) / 56 - 1) @ arcface[:, :2].T + arcface[:, 2]


def _window_name(window: str | Sequence) -> str:
    return window if isinstance(window, str) else "its own points"


GEOMETRIES = {"portrait": portrait_window, "aligned": aligned_window, "box": box_window}
FILLS = {"edge": "border", "black": "zeros", "reflect": "reflection"}  # our word -> grid_sample's


def crop(photo: np.ndarray, window: np.ndarray, size: int, context: float, fill: str) -> np.ndarray:
    """The context crop, uint8 (S, S, 3) with S = size·context: `context` × the window, sampled from the photo.

    photo: uint8 (H, W, 3). Photos much larger than the crop are first averaged down, so nothing aliases.
    """
    step = max(1, int(np.hypot(window[0, 0], window[1, 0]) * 2 / size))  # photo pixels per crop pixel
    if step > 1:
        height, width = (side // step * step for side in photo.shape[:2])
        blocks = photo[:height, :width].reshape(height // step, step, width // step, step, 3)
        photo = blocks.mean((1, 3), dtype=np.float32)
        window = (window + [[0, 0, 0.5], [0, 0, 0.5]]) / step - [[0, 0, 0.5], [0, 0, 0.5]]
    height, width = photo.shape[:2]
    # grid_sample's coordinates: −1 and 1 are the outer edges of the first and last pixel.
    theta = np.column_stack([window[:, :2] * context, window[:, 2] + 0.5]) * [[2 / width], [2 / height]] - [[0, 0, 1]]
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None].float()
    side = round(size * context)
    grid = F.affine_grid(torch.from_numpy(theta)[None].float(), (1, 3, side, side), align_corners=False)
    sampled = F.grid_sample(pixels, grid, mode="bilinear", padding_mode=FILLS[fill], align_corners=False)
    return sampled[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def inside(window: np.ndarray, photo_size: tuple[int, int]) -> float:
    """The share of the plain view, in [0, 1], that lies on a photo of (width, height)."""
    axis = (np.arange(64) + 0.5) / 32 - 1
    points = np.stack(np.meshgrid(axis, axis), axis=-1) @ window[:, :2].T + window[:, 2] + 0.5
    return float(np.mean(np.all((points >= 0) & (points <= photo_size), axis=-1)))


def to_window(points: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Photo pixels (..., 2) in window coordinates, [-1, 1]² being the plain view."""
    return (points - window[:, 2]) @ np.linalg.inv(window[:, :2]).T


def views(
    crops: torch.Tensor, matrix: np.ndarray, size: int | tuple[int, int], face_size: int, context: float
) -> torch.Tensor:
    """Views of faces, (N, 3, height, width), from their context crops (N, 3, S, S) with one affine sampling each.

    matrix: (2, 3) from the view's [-1, 1]² to window coordinates; the identity gives the plain view. size: pixels of a
    square view's side, or (height, width). face_size: pixels of the plain view's side in the crop.
    """
    size = (size, size) if isinstance(size, int) else size
    theta = torch.as_tensor(matrix, dtype=crops.dtype, device=crops.device) / context
    # Sampled at least as densely as the crop's own pixels, then averaged down: a smaller view does not alias.
    across, down = np.linalg.norm(np.asarray(matrix)[:, :2], axis=0)
    dense = max(size[0], round(face_size * down)), max(size[1], round(face_size * across))
    grid = F.affine_grid(theta[None].expand(len(crops), 2, 3), (len(crops), 3, *dense), align_corners=False)
    sampled = F.grid_sample(crops, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled if dense == size else shrunk(sampled, size)


def face_view(images: torch.Tensor, geometry: str) -> torch.Tensor:
    """The face alone in plain views (N, 3, S, S), at their own resolution: the window of `aligned`, which is what older
    figures are of. A box is shown whole."""
    if geometry == WITHOUT_LANDMARKS:
        return images
    size, window = images.shape[-1], after(inverse(FRAMES[geometry]), FRAMES["aligned"])
    return views(images, window, round(size * np.linalg.norm(window[:, 0])), size, context=1.0)


def shrunk(images: torch.Tensor, size: int | tuple[int, int]) -> torch.Tensor:
    """Images (N, 3, H, W) at `size` pixels, a side or (height, width), averaged where that is smaller."""
    size = (size, size) if isinstance(size, int) else size
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
