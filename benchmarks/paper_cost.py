"""What the profile `paper` costs at full scale, from single steps and faces: `python benchmarks/paper_cost.py [PHOTOS]`.

PHOTOS: an archive or a folder, whose first 64 photos are cropped (LFW's, say; without it ORL's, which are grey and
small). Networks are full-size with random weights; measured are core-seconds, which other load hardly changes. The rest
is arithmetic with the counts and the throughputs below. Needs 8 GB of memory, and 5 to 10 minutes on two cores.
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from dfd.core.devices import pick_device
from dfd.decoder.registry import build_decoder
from dfd.faces.store import FaceStore
from dfd.learning.losses import ReconstructionLoss
from dfd.params import Params, load_params, patched
from dfd.photos.archives import read_photos, write_photos
from dfd.photos.datasets import orl_photos
from dfd.photos.detection import Detector
from dfd.photos.preprocessing import Census, preprocess
from dfd.recognizers.registry import build_recognizer
from dfd.studies.equivariance.perturbations import perturbations

# Photos of the data sets, as published: VGGFace2's training part (its 500 other people are not used), LFW, CelebA-HQ.
PHOTOS = {"vggface2": 3_141_890, "lfw": 13_233, "celeba-hq": 30_000}
# Assumptions, not measurements: what one GPU sustains in training, of its peak.
SUSTAINED = {"float32": 15e12, "bfloat16": 100e12}  # FLOP/s
BATCH = 8


def paper_params() -> Params:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(patched("profiles/paper.yaml")[0], encoding="utf-8")
        return load_params(path)


def measured(function) -> tuple[float, float]:
    """(core-seconds, FLOPs) of a call, two for each multiply-add; element-wise operations count as none."""
    with FlopCounterMode(display=False) as counter:
        start = time.process_time()
        function()
        seconds = time.process_time() - start
    return seconds, counter.get_total_flops()


def row(*cells) -> None:
    print("| " + " | ".join(map(str, cells)) + " |")


def face_store(params: Params, photos: str | None) -> tuple[float, float, float]:
    """Bytes of a context crop; core-seconds to make one from its photo, and to read the face from the store."""
    faces = params.faces
    detector = Detector(tuple(faces.detection_sides), faces.min_face, pick_device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        archive, store = Path(folder) / "photos.tar", Path(folder) / "faces.h5"
        write_photos(archive, itertools.islice(read_photos(photos) if photos else orl_photos(), 64))
        start = time.process_time()
        preprocess(archive, store, detector, faces, Census({"test": 1.0}, 0))
        crop = (time.process_time() - start) / 64
        made = FaceStore(store)
        start = time.process_time()
        made.views(range(len(made)), params.decoder.size)
        return made.offsets[-1] / len(made), crop, (time.process_time() - start) / len(made)


def training_step(params: Params, dimension: int, perceptual: torch.nn.Module) -> tuple[float, float, float, int, int]:
    """Core-seconds and FLOPs of a step, and FLOPs of a validation, per face; bytes kept for the backward pass per face;
    the decoder's parameters."""
    options = {"size": params.decoder.size} | params.decoder.options
    decoder = build_decoder(params.decoder.architecture, dimension, options).to(memory_format=torch.channels_last)
    loss = ReconstructionLoss(perceptual, params.loss.weights(), 1.0, params.loss.perceptual_share)
    settings = params.train_decoder
    optimizer = torch.optim.AdamW(
        decoder.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    own = {
        tensor.untyped_storage().data_ptr() for tensor in itertools.chain(decoder.parameters(), perceptual.parameters())
    }
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    templates, images = torch.randn(BATCH, dimension), torch.rand(BATCH, 3, params.decoder.size, params.decoder.size)
    images = images.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            total = loss.total(loss.terms(decoder(templates), images, templates))
        total.backward()
        optimizer.step()

    @torch.no_grad()
    def validate() -> None:
        loss.terms(decoder(templates[:1]), images[:1], templates[:1])

    seconds, flops = measured(step)
    parameters = sum(parameter.numel() for parameter in decoder.parameters())
    return seconds / BATCH, flops / BATCH, measured(validate)[1], sum(kept.values()) // BATCH, parameters


def main() -> None:
    params = paper_params()
    print(
        f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads; batches of {BATCH}, {params.decoder.size} px\n"
    )
    shares, everyone = params.datasets["vggface2"].split, sum(PHOTOS.values())
    training, validation = (PHOTOS["vggface2"] * shares[name] for name in ("train", "validation"))
    pixels = 3 * params.decoder.size**2
    work: dict[str, float] = {}  # FLOPs

    row("recognizer", "template", "parameters (M)", "GFLOP per face", "core-seconds per face")
    row(*["---"] * 5)
    recognizers, dimensions, float64 = {}, {}, 0.0
    views = len(perturbations(params.transforms.rotate, params.transforms.translate, params.transforms.scale))
    for name, settings in params.recognizers.items():
        module = build_recognizer(settings.architecture, settings.options).requires_grad_(False)
        recognizers[name] = module.to(memory_format=torch.channels_last)
        images = torch.rand(BATCH, 3, module.size, module.size).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            seconds, flops = measured(lambda module=module, images=images: module(images))
        dimensions[name] = size = module.dimension
        row(
            name,
            size,
            f"{sum(p.numel() for p in module.parameters()) / 1e6:.0f}",
            f"{flops / BATCH / 1e9:.1f}",
            f"{seconds / BATCH:.2f}",
        )
        decoders = sum(variant.template == name for variant in params.variants.values())
        faces = {
            "embed": 2 * everyone,  # plain and mirrored
            "fit_transforms": views * (params.transforms.faces + params.transforms.held_out),
            "verify": 3 * PHOTOS["lfw"],
            # three reconstructions each, of two data sets; and of its own templates four more, as stored
            "evaluate": 6 * len(params.variants) * params.evaluate.max_faces
            + 8 * decoders * params.evaluate.storage_faces,
        }
        for stage, count in faces.items():
            work[stage] = work.get(stage, 0) + count * flops / BATCH
        float64 += 2 * (2 * training + validation) * size * (size + pixels)

    print()
    row(
        "variant",
        "decoder's parameters (M)",
        "with gradient and Adam (GB)",
        "kept per face (MB)",
        "GFLOP per face and step",
        "core-seconds",
    )
    row(*["---"] * 6)
    for name, variant in params.variants.items():
        seconds, flops, forward, kept, parameters = training_step(
            params, dimensions[variant.template], recognizers[variant.perceptual]
        )
        row(
            name,
            f"{parameters / 1e6:.0f}",
            f"{16 * parameters / 1e9:.2f}",
            f"{kept / 1e6:.0f}",
            f"{flops / 1e9:.0f}",
            f"{seconds:.1f}",
        )
        work["train_decoder"] = work.get("train_decoder", 0) + params.train_decoder.epochs * (
            training * flops + validation * forward
        )

    print()
    row("work", "FLOP", *(f"GPU hours at {rate / 1e12:g} TFLOP/s ({name})" for name, rate in SUSTAINED.items()))
    row(*["---"] * 4)
    for stage, flops in (work | {"together": sum(work.values())}).items():
        row(stage, f"{flops:.2g}", *(f"{flops / rate / 3600:.3g}" for rate in SUSTAINED.values()))
    row("fit_closed_form (float64, on the CPU)", f"{float64:.2g}", "", "")

    crop, make, read = face_store(params, sys.argv[1] if len(sys.argv) > 1 else None)
    passes = 3 * len(dimensions) + len(params.variants) * (2 + params.train_decoder.epochs)
    total = sum(dimensions.values())
    print(
        f"\nA context crop of {round(params.faces.size * params.faces.context)} px: {crop / 1e3:.0f} kB; made in {make:.3f}, read in {read:.4f} core-seconds"
    )
    print(
        f"preprocess: {make * everyone / 3600:.0f} core-hours; reading all faces once: {read * everyone / 3600:.1f}, {passes} times in all"
    )
    print(f"disk: faces {crop * everyone / 1e9:.0f} GB, templates {8 * total * everyone / 1e9:.0f} GB, "
          f"maps {4 * views * sum(d * d for d in dimensions.values()) / 1e9:.1f} GB, linear decoders {4 * total * pixels / 1e9:.1f} GB")  # fmt: skip
    largest = max(dimensions.values())
    print(
        f"memory: moments of the linear decoder {2 * 8 * largest * pixels / 1e9:.1f} GB, its weights {4 * largest * pixels / 1e9:.1f} GB"
    )


if __name__ == "__main__":
    main()
