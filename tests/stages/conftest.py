"""A project with few faces and tiny networks, for the stages."""

import pytest
from small_project import lay_out


@pytest.fixture
def project(tmp_path, monkeypatch, synthetic_store, orl_store):
    """A folder with two data sets, two recognizers, their templates and four decoders; stages run in it."""
    lay_out(tmp_path, monkeypatch, {"synthetic": synthetic_store, "orl": orl_store})
    return tmp_path
