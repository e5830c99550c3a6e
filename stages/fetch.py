"""Write a data set's photos, once, as one archive."""

from dfd.core.paths import ARCHIVE
from dfd.params import load_params
from dfd.photos.archives import write_photos
from dfd.photos.datasets import fetch
from stages import log, run


def main(dataset: str) -> None:
    params = load_params()
    settings = params.entry("datasets", dataset)
    count = write_photos(ARCHIVE.format(dataset), fetch(settings, params.seed))
    log.info("wrote %d photos to %s", count, ARCHIVE.format(dataset))


if __name__ == "__main__":
    run(main)
