"""Detect, align and crop the faces of a data set: every photo ends as a face or as a reject with a reason."""

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.paths import ARCHIVE, FACES
from dfd.core.shards import shared
from dfd.params import load_params
from dfd.photos.datasets import genders, traits
from dfd.photos.detection import Detector
from dfd.photos.pairs import people_of
from dfd.photos.placing import read_landmarks
from dfd.photos.preprocessing import preprocess, summary
from stages import log, run


def main(dataset: str) -> None:
    params = load_params()
    faces, settings = params.faces, params.entry("datasets", dataset)
    device = pick_device(params.device)
    sharing = shared(f"preprocess-{dataset}", params.processes, device)
    index = preprocess(
        ARCHIVE.format(dataset),
        FACES.format(dataset),
        detector=Detector(tuple(faces.detection_sides), faces.min_face, device),
        shares=settings.split,
        seed=params.seed,
        geometry=faces.geometry,
        size=faces.size,
        context=faces.context,
        fill=faces.fill,
        select=settings.selected(faces.select),
        min_probability=faces.min_probability,
        max_megapixels=faces.max_megapixels,
        min_side=faces.min_side,
        background=faces.background,
        genders=genders(settings),
        traits=traits(settings),
        kept_for_test=people_of(settings.pairs, settings.test_folds),
        window=settings.window,
        places=read_landmarks(settings.landmarks) if settings.landmarks else None,
        sharing=sharing,
    )
    metrics = summary(index)
    write_json(f"metrics/preprocess/{dataset}.json", metrics)
    sharing.finish()
    log.info(
        "%d photos of %s: %d faces, %d rejects", len(index), dataset, metrics["faces"], metrics["rejected"]["total"]
    )


if __name__ == "__main__":
    run(main)
