"""LFW's lists of pairs, in their published format."""

import pytest

from dfd.core.errors import DfdError
from dfd.photos import pairs as module
from dfd.photos.pairs import people_of, read_pairs

VIEW_2 = """2\t2
Anna_Berg\t1\t4
Ben_Ito\t2\t12
Anna_Berg\t1\tBen_Ito\t3
Clara_de_la_Cruz\t1\tDan\t10
Eve\t1\t2
Eve\t2\t3
Eve\t1\tFred\t1
Gil\t2\tAnna_Berg\t4
"""
VIEW_1 = "1\nAnna_Berg\t1\t4\nAnna_Berg\t1\tBen_Ito\t3\n"


@pytest.fixture
def written(tmp_path):
    def write(text: str | bytes):
        path = tmp_path / "pairs.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize("text", [VIEW_2, VIEW_2.replace("\t", " "), VIEW_2.replace("\n", "\r\n"), VIEW_2 + "\n\n"])
def test_ten_folds_or_any_number(written, text):
    pairs = read_pairs(written(text))
    assert list(pairs.columns) == ["fold", "first", "second", "genuine"]
    assert pairs["fold"].tolist() == [1] * 4 + [2] * 4
    assert pairs["genuine"].tolist() == [True, True, False, False] * 2
    assert pairs.iloc[1].tolist() == [1, "Ben_Ito/Ben_Ito_0002.jpg", "Ben_Ito/Ben_Ito_0012.jpg", True]
    assert pairs.iloc[3].tolist() == [1, "Clara_de_la_Cruz/Clara_de_la_Cruz_0001.jpg", "Dan/Dan_0010.jpg", False]
    same = pairs["first"].str.split("/").str[0] == pairs["second"].str.split("/").str[0]
    assert same.equals(pairs["genuine"])


def test_one_number_is_one_fold(written):
    pairs = read_pairs(written(VIEW_1))
    assert pairs["fold"].tolist() == [1, 1] and pairs["genuine"].tolist() == [True, False]


# text -> what the message must tell
MISTAKES = {
    "empty": ("", "line 1"),
    "no header": (VIEW_2.partition("\n")[2], "line 1"),
    "a header of words": ("ten folds\n", "line 1"),
    "no folds": ("0 300\n", "line 1"),
    "cut": (VIEW_2[:-30], "7 pairs, where its first line tells of 8"),
    "too long": (VIEW_2 + "Eve\t1\t2\n", "9 pairs"),
    "an impostor pair too early": (VIEW_2.replace("Ben_Ito\t2\t12", "Ben_Ito\t2\tEve\t1"), "line 3 is not `name n m`"),
    "a genuine pair too late": (VIEW_2.replace("Eve\t1\tFred\t1", "Eve\t1\t2"), "line 8 is not `name n other m`"),
    "one person as two": (VIEW_2.replace("Eve\t1\tFred\t1", "Eve\t1\tEve\t2"), "line 8"),
    "no number": (VIEW_2.replace("Ben_Ito\t2\t12", "Ben_Ito\t2\tx"), "line 3"),
    "photo 0": (VIEW_2.replace("Ben_Ito\t2\t12", "Ben_Ito\t0\t12"), "line 3"),
    "an empty line": (VIEW_2.replace("Ben_Ito\t2\t12", ""), "line 3.*empty"),
    "bytes": (b"\xff\xfe\x00\x01", "cannot be read"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_the_place(written, mistake):
    text, told = MISTAKES[mistake]
    with pytest.raises(DfdError, match=rf"pairs\.txt: .*{told}") as error:
        read_pairs(written(text))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DfdError, match=r"nowhere\.txt.*pairs\.txt"):
        read_pairs(tmp_path / "nowhere.txt")


def test_people_of_some_folds(written):
    path = written(VIEW_2)
    assert people_of(path, [1]) == {"Anna_Berg", "Ben_Ito", "Clara_de_la_Cruz", "Dan"}
    assert people_of(path, [1, 2]) == people_of(path, [1]) | {"Eve", "Fred", "Gil"}
    assert people_of(None, []) == set()
    with pytest.raises(DfdError, match="no fold 3.*test_folds.*1 to 2"):
        people_of(path, [2, 3])


def test_the_published_list_is_downloaded_and_checked(monkeypatch, written):
    asked = []
    monkeypatch.setattr(module, "download", lambda *file: asked.append(file) or written(VIEW_1))
    assert len(read_pairs("published")) == 2
    [(name, url, sha256)] = asked
    assert name == "pairs.txt" and url.startswith("https://") and len(sha256) == 64


# Own lists

OWN = """first,second,genuine,fold
anna/1.png,anna/my photo 2.jpg,true,1
anna/1.png,"more/ben, jr/x.jpg",0,1
anna/1.png,anna/3.jpg,1,2
top.jpg,anna/1.png,False,2
"""


def test_own_pairs_are_of_keys(written):
    pairs = read_pairs(written("\ufeff" + OWN))
    assert list(pairs.columns) == ["fold", "first", "second", "genuine"]
    assert pairs["fold"].tolist() == [1, 1, 2, 2] and pairs["genuine"].tolist() == [True, False, True, False]
    assert pairs["second"].tolist()[:2] == ["anna/my photo 2.jpg", "more/ben, jr/x.jpg"]
    assert people_of(written(OWN), [1]) == {"anna", "ben, jr"} and people_of(written(OWN), [2]) == {"anna", "top"}


def test_pairs_of_no_fold_are_dealt_to_ten_in_turn(written):
    lines = [f"a/{n}.jpg,b/{n}.jpg,{n % 2}" for n in range(50)]
    pairs = read_pairs(written("\n".join(["first, second, genuine", *lines])))
    counts = pairs.groupby(["fold", "genuine"]).size()
    assert counts.index.get_level_values(0).nunique() == 10 and counts.between(2, 3).all() and len(counts) == 20


@pytest.mark.parametrize(
    "text, told",
    [
        ("first,second\na,b\n", "line 1.*genuine is missing"),
        (OWN.replace("true", "same"), "line 2 is not two keys, true or false, a fold"),
        (OWN.replace(",1,2", ",1,"), "line 4 is not"),
        (OWN.replace(",1,2", ",1"), "line 4 is not"),
        (OWN.replace("top.jpg", ""), "line 5 is not"),
    ],
)
def test_a_line_that_is_no_pair_is_told(written, text, told):
    with pytest.raises(DfdError, match=rf"pairs\.txt: {told}"):
        read_pairs(written(text))
