"""Detect, align and crop the faces of a data set: every photo ends as a face or as a reject with a reason."""

from dfd.core.artefacts import write_json
from dfd.core.devices import pick_device
from dfd.core.paths import ARCHIVE, FACES
from dfd.core.shards import shared
from dfd.params import load_params
from dfd.photos.datasets import genders, traits
from dfd.photos.detection import Detector
from dfd.photos.pairs import people_of
from dfd.photos.placing import given_places
from dfd.photos.preprocessing import Census, preprocess, summary
from stages import log, run


def main(dataset: str) -> None:
    params = load_params()
    settings = params.entry("datasets", dataset)
    faces = params.faces.model_copy(update={"select": settings.selected(params.faces.select)})
    device = pick_device(params.device)
    sharing = shared(f"preprocess-{dataset}", params.processes, device)
    detector = Detector(tuple(faces.detection_sides), faces.min_face, device)
    kept_for_test = people_of(settings.pairs, settings.test_folds)
    census = Census(settings.split, params.seed, kept_for_test, genders(settings), traits(settings))
    given = given_places(settings.window, settings.landmarks)
    index = preprocess(ARCHIVE.format(dataset), FACES.format(dataset), detector, faces, census, given, sharing)
    metrics = summary(index)
    write_json(f"metrics/preprocess/{dataset}.json", metrics)
    sharing.finish()
    log.info(
        "%d photos of %s: %d faces, %d rejects", len(index), dataset, metrics["faces"], metrics["rejected"]["total"]
    )


if __name__ == "__main__":
    run(main)
