"""Public data sets of real people, read where their user keeps them: an archive or a folder, never extracted.

Photos come as (`<identity>/<file>`, bytes), whatever the archive's own folders; genders as {photo or identity: gender}.
"""

import csv
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from dfd.core.downloads import download
from dfd.core.errors import DfdError
from dfd.photos.archives import read_photos

log = logging.getLogger(__name__)

Photos = Iterator[tuple[str, bytes]]

LFW = re.compile(r"(?:.*/)?(([^/]+)/\2_\d{4}\.jpg)")
VGGFACE2 = re.compile(r"(?:.*/)?(n\d{6}/[^/]+\.(?:jpg|jpeg|png))", re.IGNORECASE)
PHOTO = re.compile(r"[^/]+\.(?:jpg|jpeg|png)", re.IGNORECASE)
MASKS = "mask-anno/"  # the folder of CelebAMask-HQ's masks
MAPPING = ["idx", "orig_idx", "orig_file"]  # first line of CelebA-HQ-to-CelebA-mapping.txt
TRAITS = {"glasses": "Eyeglasses", "smile": "Smiling"}  # what an index calls them -> what CelebA does
GENDERS = {"male": "male", "m": "male", "1": "male", "female": "female", "f": "female", "-1": "female"}


def folder_photos(path: str) -> Photos:
    """Any tree of photos: the folder that holds a photo is its identity, at any depth; a photo at the top is its own.

    An archive whose files all lie in one folder is flat: that folder is its wrapping, and every photo its own identity.
    """
    file = _existing(path)
    flat = file.is_file() and _in_one_folder(file)
    return _renamed(file, lambda name: PurePosixPath(name).name if flat else name, "identity/photo")


def _in_one_folder(archive: Path) -> bool:
    """Whether one folder holds all files; of an archive with people it reads the first one's photos only."""
    folders = set()
    for name, _ in read_photos(archive):
        folders.add(PurePosixPath(name).parent)
        if len(folders) > 1:
            return False
    return True


def lfw_photos(path: str | None) -> Photos:
    """Labeled Faces in the Wild (Huang et al., 2007), any of its alignments; without a path, the funneled ones.

    These are downloaded from where scikit-learn's `fetch_lfw_people` has them, and checked by its hash.
    """
    file = _existing(path) if path else _funneled_lfw()
    return _renamed(file, _layout(LFW), "Name_Name/Name_Name_0001.jpg")


def _funneled_lfw() -> Path:
    from sklearn.datasets._lfw import FUNNELED_ARCHIVE as REMOTE  # here: the import takes a second, in every stage

    return download(REMOTE.filename, REMOTE.url, REMOTE.checksum)


def vggface2_photos(path: str) -> Photos:
    """VGGFace2 (Cao et al., 2018), one of its parts or both: no person is in the two."""
    return _renamed(_existing(path), _layout(VGGFACE2), "n000001/0001_01.jpg")


def celeba_photos(path: str, identities: str, mapping: str | None = None) -> Photos:
    """CelebA (Liu et al., 2015) or CelebA-HQ: photos in one folder, and a file of lines `000001.jpg 2880`.

    mapping: of CelebAMask-HQ (Lee et al., 2020), whose masks are no photos: see `celeba_identities`. A photo that the file
    lacks is its own identity, `unlisted-<name>`; the log says how many. Raises DfdError where it lacks all.
    """
    file, people = _existing(path), celeba_identities(identities, mapping)
    listed = unlisted = 0

    def named(name: str) -> str | None:
        photo = PurePosixPath(name).name
        return celeba_name(photo, people) if PHOTO.fullmatch(photo) and MASKS not in name else None

    for name, data in _renamed(file, named, "000001.jpg"):
        if PurePosixPath(name).name in people:
            listed += 1
        else:
            unlisted += 1
        yield name, data
    if not listed:
        raise DfdError(f"{identities}: names none of the {unlisted} photos in {path}; give their own identity file")
    if unlisted:
        log.info(
            "%s: lacks %d of %d photos, each taken for a person of its own", identities, unlisted, listed + unlisted
        )


def celeba_identities(path: str, mapping: str | None = None) -> dict[str, str]:
    """{photo: identity} of a file like CelebA's identity_CelebA.txt.

    mapping: CelebA-HQ-to-CelebA-mapping.txt, where photos are CelebA-HQ's and the identities CelebA's: lines
    `0 119613 119614.jpg` say that 0.jpg is CelebA's 119614.jpg.
    """
    people = {}
    for number, fields in _rows(path):
        if fields == MAPPING:
            raise DfdError(
                f"{path}: says which photo is which; give it as `mapping`, and identity_CelebA.txt as `identities`"
            )
        if len(fields) != 2 or not PHOTO.fullmatch(fields[0]):
            raise DfdError(f"{path}: line {number} is not a photo and its identity, as in `000001.jpg 2880`")
        people[fields[0]] = fields[1]
    return people if mapping is None else _mapped(people, path, mapping)


def _mapped(people: Mapping[str, str], identities: str, mapping: str) -> dict[str, str]:
    mapped = {}
    for number, fields in _rows(mapping):
        if fields == MAPPING:
            continue
        if len(fields) != 3 or not fields[0].isdigit() or not PHOTO.fullmatch(fields[2]):
            raise DfdError(f"{mapping}: line {number} is not a number and CelebA's photo, as in `0 119613 119614.jpg`")
        if fields[2] in people:
            mapped[f"{fields[0]}.jpg"] = people[fields[2]]
    if not mapped:
        raise DfdError(f"{identities}: names none of the photos in {mapping}; give CelebA's identity_CelebA.txt")
    return mapped


def celeba_name(photo: str, people: Mapping[str, str]) -> str:
    """`<identity>/<photo>`."""
    return f"{people.get(photo) or f'unlisted-{PurePosixPath(photo).stem}'}/{photo}"


def _existing(path: str) -> Path:
    file = Path(path).expanduser()
    if not os.path.exists(file):  # False also for a name that no file can have
        raise DfdError(f"{path}: no such file or folder of photos; correct the `path` of its data set")
    return file


def _layout(pattern: re.Pattern) -> Callable[[str], str | None]:
    """A name's part that counts, the pattern's first group."""
    return lambda name: match[1] if (match := pattern.fullmatch(name)) else None


def _renamed(path: Path, rename: Callable[[str], str | None], layout: str) -> Photos:
    """The photos under their new names. Files that get none are left out, and the log says how many.

    Raises DfdError where no photo is left.
    """
    count = others = 0
    for name, data in read_photos(path):
        new = rename(name)
        if new is None:
            others += 1
        else:
            count += 1
            yield new, data
    if not count:
        raise DfdError(f"{path}: none of its {others} files is laid out as {layout}; `source: folder` takes any tree")
    if others:
        log.info("%s: left out %d files that are not laid out as %s", path, others, layout)


# Genders, and what else photos show, where a data set publishes it


def listed_genders(path: str) -> dict[str, str]:
    """Of a CSV file with the columns `image` (a photo's `<identity>/<file>`, or an identity) and `gender`."""
    return {image: gender for image, gender in _gender_columns(path, "image", "gender")}


def lfw_genders(path: str) -> dict[str, str]:
    """The same, `image` being a photo's name, with or without folder and .jpg: AJ_Cook_0001."""
    genders = {}
    for image, gender in _gender_columns(path, "image", "gender"):
        stem = PurePosixPath(image).name.removesuffix(".jpg")
        genders[f"{stem[:-5]}/{stem}.jpg"] = gender
    return genders


def vggface2_genders(path: str) -> dict[str, str]:
    """Of VGGFace2's identity_meta.csv: by identity, its columns Class_ID and Gender (m, f)."""
    return dict(_gender_columns(path, "Class_ID", "Gender"))


def celeba_genders(path: str, identities: str, mapping: str | None = None) -> dict[str, str]:
    """Of CelebA's list_attr_celeba.txt, or CelebAMask-HQ-attribute-anno.txt, its attribute `Male`."""
    people, genders = celeba_identities(identities, mapping), {}
    for number, photo, words in _celeba_columns(path, {"Male"}):
        if gender := _gender(path, number, words["Male"]):
            genders[celeba_name(photo, people)] = gender
    return genders


def celeba_traits(path: str, identities: str, mapping: str | None = None) -> dict[str, dict[str, bool]]:
    """Of the same file, by trait of TRAITS that it lists and by photo (`<identity>/<file>`), whether the photo shows it."""
    people, traits = celeba_identities(identities, mapping), {}
    for number, photo, words in _celeba_columns(path, set(TRAITS.values())):
        for trait, word in ((trait, words[name]) for trait, name in TRAITS.items() if name in words):
            if word not in ("1", "-1"):
                raise DfdError(f"{path}: line {number}: {TRAITS[trait]} is 1 or -1, not {word}")
            traits.setdefault(trait, {})[celeba_name(photo, people)] = word == "1"
    return traits


def _celeba_columns(path: str, names: set[str]) -> Iterator[tuple[int, str, dict[str, str]]]:
    """A line's number, its photo, and what it says of those of `names` that the file lists: a count (or none), the
    attributes' names, and per photo 1 or -1 for each."""
    places: dict[str, int] = {}
    for number, fields in _rows(path):
        if not places:
            if "Male" in fields:  # from the end: the names' line may name the photo's column too
                places = {name: place - len(fields) for place, name in enumerate(fields) if name in names | {"Male"}}
            elif number > 1 or len(fields) > 1:
                break
        elif len(fields) <= -min(places.values()):
            raise DfdError(f"{path}: line {number} has too few fields; give list_attr_celeba.txt as published")
        else:
            yield number, fields[0], {name: fields[place] for name, place in places.items()}
    if not places:
        raise DfdError(f"{path}: no attribute `Male` in its first lines; give list_attr_celeba.txt as published")


def _gender_columns(path: str, name: str, gender: str) -> Iterator[tuple[str, str]]:
    lines = csv.DictReader(_text(path).splitlines(), skipinitialspace=True)
    columns = {column.strip(): column for column in lines.fieldnames or []}
    if name not in columns or gender not in columns:
        raise DfdError(
            f"{path}: no CSV file with the columns {name} and {gender}; correct the `attributes` of its data set"
        )
    for line in lines:
        if label := _gender(path, lines.line_num, line[columns[gender]] or ""):
            yield (line[columns[name]] or "").strip(), label


def _gender(path: str, number: int, word: str) -> str | None:
    """male, female, or None for an empty field."""
    word = word.strip().lower()
    if word and word not in GENDERS:
        raise DfdError(f"{path}: line {number}: a gender is male or female (m or f, 1 or -1) or empty, not {word}")
    return GENDERS.get(word)


def _rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, (number, fields), fields being parted by spaces or commas."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip():
            yield number, re.split(r"[\s,]+", line.strip())


def _text(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DfdError(f"{path}: cannot be read as text ({error}); correct its path") from error
