"""What sets a recognizer: its network, and where weights that exist come from."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from dfd.core.settings import Settings, Text

PRECOMPUTED = "precomputed"  # the architecture, and the weights, of a recognizer that is templates alone


class Recognizer(Settings):
    architecture: str
    options: dict[str, Any] = {}


class ImportRecognizer(Settings):
    weights: str
    templates: Annotated[dict[str, Text], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _templates_are_precomputed(self):
        if (self.weights == PRECOMPUTED) != (self.templates is not None):
            raise ValueError(f"`templates`, a file for each data set, and `weights: {PRECOMPUTED}` go together")
        return self
