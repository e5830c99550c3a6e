"""Face windows: which square of the photo is the face, and how it is sampled.

A window is a (2, 3) matrix W that maps window coordinates, [-1, 1]² over the plain view (x right, y down), to photo
pixels (the centre of the top left pixel is 0, 0). Every view of a face is one affine sampling: of the photo for the
stored context crop, of the context crop for the plain view and its perturbations.
"""

import numpy as np
import torch
import torch.nn.functional as F

# Where the eyes and the mouth corners lie in the window of `aligned`, as fractions of its side: dlib's chip geometry
# with a quarter of padding on each side. Rows: left eye, right eye, left and right mouth corner.
ALIGNED = (np.array([[0.2273, 0.2214], [0.7528, 0.2212], [0.2541, 0.7802], [0.7261, 0.7802]]) + 0.25) / 1.5
ALIGNED_LANDMARKS = [0, 1, 3, 4]  # of MTCNN's five; the nose tip moves with the pose


def aligned_window(box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The similarity (rotation, scale, shift) that best maps the template's eyes and mouth onto `landmarks` (5, 2)."""
    source = ALIGNED * 2 - 1
    target = landmarks[ALIGNED_LANDMARKS]
    centre, target_centre = source.mean(0), target.mean(0)
    source, offset = source - centre, target - target_centre
    # Least squares over x' = a·x − b·y, y' = b·x + a·y (Umeyama, 1991, in two dimensions and without reflection).
    norm = (source**2).sum()
    a = (source * offset).sum() / norm
    b = (source[:, 0] * offset[:, 1] - source[:, 1] * offset[:, 0]).sum() / norm
    linear = np.array([[a, -b], [b, a]])
    return np.column_stack([linear, target_centre - linear @ centre])


def box_window(box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The paper's crop: the square of side max(width, height) centred on the detection box (4,), upright."""
    half = max(box[2] - box[0], box[3] - box[1]) / 2
    return np.array([[half, 0, (box[0] + box[2]) / 2], [0, half, (box[1] + box[3]) / 2]])


GEOMETRIES = {"aligned": aligned_window, "box": box_window}
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


def views(crops: torch.Tensor, matrix: np.ndarray, size: int, face_size: int, context: float) -> torch.Tensor:
    """Views of faces, (N, 3, size, size), from their context crops (N, 3, S, S) with one affine sampling each.

    matrix: (2, 3) from the view's [-1, 1]² to window coordinates; the identity gives the plain view.
    """
    theta = torch.as_tensor(matrix, dtype=crops.dtype, device=crops.device).clone()
    theta[:, :2] /= context
    theta[:, 2] /= context
    # Sampled at least as densely as the crop's own pixels, then averaged down: a smaller view does not alias.
    density = float(np.sqrt(abs(np.linalg.det(np.asarray(matrix)[:, :2]))))
    dense = max(size, round(face_size * density))
    grid = F.affine_grid(theta[None].expand(len(crops), 2, 3), (len(crops), 3, dense, dense), align_corners=False)
    sampled = F.grid_sample(crops, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled if dense == size else shrunk(sampled, size)


def shrunk(images: torch.Tensor, size: int) -> torch.Tensor:
    """Images (N, 3, H, W) at (N, 3, size, size), averaged where that is smaller."""
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)
