"""Timings against named peers, on faces of the packaged generator: `python benchmarks/speed.py`.

Each pair is measured in turns in one run, on one thread, in CPU seconds: medians of seven turns, which other load hardly changes.
"""

import io
import statistics
import time
from collections.abc import Callable

import _dlib_pybind11 as dlib
import facenet_pytorch
import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from torchmetrics.functional.image import structural_similarity_index_measure

from dfd.core.devices import autocast, profits_from_bfloat16
from dfd.core.packages import package_file
from dfd.decoder.registry import build_decoder
from dfd.measures.quality import ssim
from dfd.params import load_params
from dfd.photos.detection import Detector
from dfd.photos.synthetic import synthetic_photos
from dfd.recognizers.registry import import_recognizer

CPU = torch.device("cpu")
PHOTOS = [Image.open(io.BytesIO(data)) for _, data in synthetic_photos(64, seed=0)]


def compare(what: str, ours: Callable, peer: Callable, turns: int = 7) -> None:
    times = {ours: [], peer: []}
    for function in (ours, peer) * (turns + 1):
        start = time.process_time()
        function()
        times[function].append(time.process_time() - start)
    mine, theirs = (statistics.median(values[1:]) for values in times.values())  # the first turn warms up
    print(f"| {what} | {1000 * mine:.0f} ms | {1000 * theirs:.0f} ms | {theirs / mine:.2f} |")


def product_of(operations: float, kind: torch.dtype) -> Callable:
    """A product of matrices that takes as many operations."""
    side = 2048
    left, right = (
        torch.rand(round(operations / (2 * side * side)), side, dtype=kind),
        torch.rand(side, side, dtype=kind),
    )
    return lambda: left @ right


def detection() -> None:
    detector = Detector((160, 640), 0.3, CPU)
    plain = facenet_pytorch.MTCNN(keep_all=True, device=CPU, min_face_size=48)
    batch = np.stack([np.asarray(photo.resize((160, 160), Image.Resampling.BILINEAR)) for photo in PHOTOS])
    compare(
        "64 photos detected at 160 px, against facenet-pytorch's MTCNN with the same smallest face",
        lambda: detector.detect(PHOTOS),
        lambda: plain.detect(batch, landmarks=True),
    )


def templates() -> None:
    weights = package_file(
        "face-recognition-models", "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
    )
    ours, theirs = (
        import_recognizer("dlib-resnet", {}, "dlib-face-recognition"),
        dlib.face_recognition_model_v1(str(weights)),
    )
    faces = np.stack([np.asarray(photo.resize((150, 150))) for photo in PHOTOS[:16]])
    images = (torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)

    def embed() -> None:
        with torch.inference_mode():
            for part in images.split(8):
                ours(part)

    compare(
        "16 templates of dlib's ResNet, against dlib",
        embed,
        lambda: [theirs.compute_face_descriptor(face) for face in faces],
    )
    with FlopCounterMode(display=False) as counter:
        embed()
    product = product_of(counter.get_total_flops(), torch.float32)
    compare("the same, against as many operations in one product of matrices", embed, product)


def similarity() -> None:
    images, others = torch.rand(2, 1000, 3, 56, 56)
    compare(
        "SSIM of 1,000 images of 56 px, against torchmetrics on all at once",
        lambda: ssim(images, others),
        lambda: structural_similarity_index_measure(images, others, data_range=1.0, reduction="none"),
    )


def decoder_step() -> None:
    """Of the default decoder without its losses, in the precision that training takes here, and of a plain loop."""
    params = load_params()
    size, batch = params.decoder.size, params.train_decoder.batch_size
    templates, images = torch.randn(batch, 128), torch.rand(batch, 3, size, size)

    def stepper(layout: torch.memory_format, fused: bool, precision: str) -> Callable:
        decoder = build_decoder(params.decoder.architecture, 128, params.decoder.all_options())
        decoder = decoder.to(memory_format=layout).train()
        optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-3, fused=fused)
        targets = images.contiguous(memory_format=layout)

        def step() -> None:
            for _ in range(5):
                with autocast(CPU, precision):
                    decoded = decoder(templates).float()
                optimizer.zero_grad()
                (decoded - targets).square().mean().backward()
                optimizer.step()

        return step

    ours = stepper(torch.channels_last, True, "auto")
    plain = stepper(torch.contiguous_format, False, "float32")
    compare(f"5 decoder steps of {batch} faces, against contiguous tensors in float32 and AdamW unfused", ours, plain)
    with FlopCounterMode(display=False) as counter:
        ours()
    kind = torch.bfloat16 if profits_from_bfloat16(CPU) else torch.float32
    product = product_of(counter.get_total_flops(), kind)
    compare(f"the same, against as many operations in one product of matrices in {kind}", ours, product)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"PyTorch {torch.__version__}, one thread")
    print("| what | ours | peer | peer / ours |\n| --- | --- | --- | --- |")
    for benchmark in (detection, templates, similarity, decoder_step):
        benchmark()
