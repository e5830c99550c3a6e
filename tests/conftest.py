"""Small real data for every test: photos of ORL and generated faces, preprocessed once per session."""

import sys
from itertools import islice
from pathlib import Path

import pytest
import torch
from small_project import SMALL_FACES

from dfd import cli
from dfd.faces.store import FaceStore
from dfd.photos.archives import write_photos
from dfd.photos.datasets import orl_photos as all_orl_photos
from dfd.photos.detection import Detector
from dfd.photos.placing import Given
from dfd.photos.preprocessing import Census, preprocess
from dfd.photos.synthetic import synthetic_photos

SHARES = {"train": 0.5, "validation": 0.25, "test": 0.25}

# These networks are tiny: on a busy machine, waiting for a second thread took eight times as long.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def detector() -> Detector:
    return Detector((160, 640), 0.3, torch.device("cpu"))


@pytest.fixture(scope="session")
def orl_photos(tmp_path_factory) -> Path:
    """A tar of ORL's first 4 people, 5 photos each."""
    path = tmp_path_factory.mktemp("raw") / "orl.tar"
    photos = (photo for photo in islice(all_orl_photos(), 40) if int(Path(photo[0]).stem) <= 5)
    assert write_photos(path, photos) == 20
    return path


@pytest.fixture(scope="session")
def to_store(detector):
    """A function: archive, path of the store → its index; any setting of faces can be given."""

    def run(
        archive,
        store,
        detector=detector,
        shares=SHARES,
        kept_for_test=(),
        genders=None,
        traits=None,
        window=None,
        places=None,
        **changes,
    ):
        census = Census(shares, 0, kept_for_test, genders or {}, traits or {})
        given = Given(window, places or {}) if window or places else None
        return preprocess(archive, store, detector, SMALL_FACES.model_copy(update=changes), census, given)

    return run


@pytest.fixture(scope="session")
def orl_store(orl_photos, to_store, tmp_path_factory) -> FaceStore:
    """20 faces of 4 people, all in the test split; 112 pixels, context 2."""
    path = tmp_path_factory.mktemp("faces") / "orl.h5"
    to_store(orl_photos, path, shares={"test": 1.0}, size=112)
    return FaceStore(path)


@pytest.fixture(scope="session")
def synthetic_store(to_store, tmp_path_factory) -> FaceStore:
    """About 24 generated faces, each its own identity, in all three splits; 64 pixels, context 2."""
    raw, path = tmp_path_factory.mktemp("raw") / "synthetic.tar", tmp_path_factory.mktemp("faces") / "synthetic.h5"
    write_photos(raw, synthetic_photos(24, seed=0))
    to_store(raw, path)
    return FaceStore(path)


@pytest.fixture
def dfd(project, monkeypatch, capsys):
    """A function: arguments → (exit code, stdout, stderr), run in the folder that a module's fixture `project` gives."""
    monkeypatch.chdir(project)

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dfd", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
            sys.exit(0)
        return stopped.value.code or 0, *capsys.readouterr()

    return run
