"""What sets a data set: where its photos are, and how its people are split."""

from typing import Literal

from pydantic import model_validator

from dfd.core.settings import Count, Settings, Share, Text

# source -> what its data sets cannot do without
NEEDED = {
    "synthetic": {"faces": "their number"},
    "folder": {"path": "an archive or a folder of photos"},
    "vggface2": {"path": "an archive or a folder of its photos"},
    "celeba": {"path": "an archive or a folder of its photos", "identities": "the file that says who they show"},
    "celeba-hq": {"path": "an archive or a folder of its photos", "identities": "the file that says who they show"},
}


class Dataset(Settings):
    source: str
    faces: Count | None = None
    path: Text | None = None
    identities: Text | None = None
    attributes: Text | None = None
    pairs: Text | None = None
    test_folds: list[Count] = []
    split: dict[Literal["train", "validation", "test"], Share]

    @model_validator(mode="after")
    def _shares_sum_to_one(self):
        if abs(sum(self.split.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of `split` sum to {sum(self.split.values()):g}, not to 1")
        return self

    @model_validator(mode="after")
    def _source_has_what_it_needs(self):
        for name, what in NEEDED.get(self.source, {}).items():
            if getattr(self, name) is None:
                raise ValueError(f"a {self.source} data set needs `{name}`, {what}")
        return self

    @model_validator(mode="after")
    def _folds_are_of_pairs(self):
        if self.test_folds and self.pairs is None:
            raise ValueError("`test_folds` are folds of `pairs`, which is not given")
        return self
