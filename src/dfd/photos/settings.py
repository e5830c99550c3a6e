"""What sets a data set: where its photos are, which faces they hold, and how its people are split."""

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
# source -> what else they use, besides what all do
OPTIONAL = {
    "synthetic": set(),
    "orl": set(),
    "folder": {"attributes"},
    "lfw": {"path", "attributes"},
    "vggface2": {"attributes"},
    "celeba": {"attributes"},
    "celeba-hq": {"attributes", "mapping"},
}
EVERY = {"source", "split", "select", "detect", "window", "landmarks", "pairs", "test_folds"}
CROPS = ("dlib", "arcface", "box")  # what photos that are crops of faces may show: the windows of dfd.faces.geometry
SELECT = {"lfw": "central"}  # source -> of several faces: LFW names the person in the middle


class Dataset(Settings):
    source: Literal[tuple(OPTIONAL)]
    faces: Count | None = None
    path: Text | None = None
    identities: Text | None = None
    mapping: Text | None = None
    attributes: Text | None = None
    pairs: Text | None = None
    test_folds: list[Count] = []
    select: Literal["largest", "central"] | None = None
    detect: bool = True
    window: Literal[CROPS] | None = None
    landmarks: Text | None = None
    split: dict[Literal["train", "validation", "test"], Share]

    def selected(self, otherwise: str) -> str:
        """Which of several faces is taken: what the entry says, or what suits its source, or `otherwise`."""
        return self.select or SELECT.get(self.source, otherwise)

    @model_validator(mode="after")
    def _shares_sum_to_one(self):
        if abs(sum(self.split.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of `split` sum to {sum(self.split.values()):g}, not to 1")
        return self

    @model_validator(mode="after")
    def _source_has_what_it_needs_and_no_more(self):
        needed = NEEDED.get(self.source, {})
        for name, what in needed.items():
            if getattr(self, name) is None:
                raise ValueError(f"a {self.source} data set needs `{name}`, {what}")
        for name in self.model_fields_set - EVERY - needed.keys() - OPTIONAL[self.source]:
            if getattr(self, name) is not None:
                raise ValueError(f"`{name}` is of no use to source {self.source}; leave it out")
        return self

    @model_validator(mode="after")
    def _faces_are_found_one_way(self):
        if self.detect == (self.window is not None):
            raise ValueError(
                f"`detect: false` and `window`, what its photos show ({', '.join(CROPS)}), go together: of crops that are faces"
            )
        if self.landmarks is not None and not self.detect:
            raise ValueError(
                "`landmarks` says where the faces are, and `detect: false` that the photos are faces; keep one"
            )
        if self.select is not None and (self.landmarks is not None or not self.detect):
            raise ValueError("`select` is among detected faces; leave it out")
        return self

    @model_validator(mode="after")
    def _folds_are_of_pairs(self):
        if self.test_folds and self.pairs is None:
            raise ValueError("`test_folds` are folds of `pairs`, which is not given")
        return self
