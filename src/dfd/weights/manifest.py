"""The table of published weights."""

from typing import NamedTuple

_KERAS = "https://github.com/rcmalli/keras-vggface/releases/download/v2.0/rcmalli_vggface_tf_"
_FACENET = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
_OXFORD = "https://www.robots.ox.ac.uk/~albanie/models/pytorch-mcn/"
_MOBILEFACENET = "https://github.com/Xiaoccer/MobileFaceNet_Pytorch/raw/master/model/best/068.ckpt"
_VGGFACE = "CC BY-NC 4.0 (VGGFace, University of Oxford)"
_VGGFACE2 = "research only (VGGFace2, University of Oxford)"


class Weights(NamedTuple):
    """One published file. size: bytes, about; sha256: None where nobody published it: it is pinned when it is first imported."""

    url: str
    size: int
    licence: str
    data: str  # that they were trained on
    source: str
    sha256: str | None = None

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]


MANIFEST: dict[str, Weights] = {
    "keras-vggface-vgg16": Weights(
        f"{_KERAS}vgg16.h5", 580_000_000, _VGGFACE, "VGGFace, 2,622 people", "rcmalli/keras-vggface"
    ),
    "keras-vggface-vgg16-notop": Weights(
        f"{_KERAS}notop_vgg16.h5", 58_900_000, _VGGFACE, "VGGFace, 2,622 people", "rcmalli/keras-vggface"
    ),
    "keras-vggface-resnet50": Weights(
        f"{_KERAS}resnet50.h5", 165_000_000, _VGGFACE2, "VGGFace2, 8,631 people", "rcmalli/keras-vggface"
    ),
    "keras-vggface-resnet50-notop": Weights(
        f"{_KERAS}notop_resnet50.h5", 94_700_000, _VGGFACE2, "VGGFace2, 8,631 people", "rcmalli/keras-vggface"
    ),
    "oxford-vgg16": Weights(
        f"{_OXFORD}vgg_face_dag.pth", 580_000_000, _VGGFACE, "VGGFace, 2,622 people", "Albanie, pytorch-mcn"
    ),
    "oxford-resnet50": Weights(
        f"{_OXFORD}resnet50_ft_dag.pth", 165_000_000, _VGGFACE2, "VGGFace2 (from MS-Celeb-1M)", "Albanie, pytorch-mcn"
    ),
    "facenet-vggface2": Weights(
        f"{_FACENET}20180402-114759-vggface2.pt", 111_900_000, "MIT", "VGGFace2", "timesler/facenet-pytorch"
    ),
    "facenet-casia-webface": Weights(
        f"{_FACENET}20180408-102900-casia-webface.pt", 116_000_000, "MIT", "CASIA-WebFace", "timesler/facenet-pytorch"
    ),
    "mobilefacenet": Weights(
        _MOBILEFACENET,
        4_130_855,
        "none stated",
        "CASIA-WebFace",
        "Xiaoccer/MobileFaceNet_Pytorch",
        "e839247cdbdfc023fb7cadeaf53a4549d50c8fc24ad154c02e35920ea8910d99",
    ),
}
