"""The table is compiled from a dict folder and from no other edition; the shipped one is whole and has its licence."""

from importlib.resources import files
from pathlib import Path

import pytest

from tagmill.ingest.labels.synsets import WordNet
from tagmill.ingest.labels.wordnet import shipped
from tagmill.ingest.labels.wordnet.compile import WORDNET_3_0, SenseCounts, compile_table, main
from tagmill.ingest.labels.wordnet.table import packed_table, text_lines
from tagmill.shards.errors import TagmillError

HEAD = (
    "  1 This notice stays.  \n"
    "  2   \n"
    "  3 WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.  \n"
)
TINY = SenseCounts(synsets=5, forms=7, instances=1)


def write_dict(folder: Path, head: str = HEAD) -> dict[str, str]:
    """Five synsets in WordNet's own format; answers their ids. Offsets have eight digits, so the places come first."""
    lines = {  # name: lexfile, lemmas, pointers, gloss
        "animal": (5, ["animal"], [("~", "bear")], "a living thing"),
        "bear": (5, ["brown_bear", "bruin", "Ursus_arctos"], [("@", "animal")], "large | with a bar"),
        "hood": (6, ["hood"], [("@", "animal")], "a cover"),
        "quarter": (15, ["'hood"], [("@", "animal"), ("+", "hood")], "slang"),
        "yogi": (18, ["Yogi_Bear", "hood"], [("@i", "bear")], "a named one"),
    }

    def line(name: str, offsets: dict[str, int]) -> str:
        lexfile, lemmas, pointers, gloss = lines[name]
        words = " ".join(f"{lemma} 0" for lemma in lemmas)
        targets = "".join(f"{symbol} {offsets.get(other, 0):08d} n 0000 " for symbol, other in pointers)
        own = f"{offsets.get(name, 0):08d} {lexfile:02d} n {len(lemmas):02x}"
        return f"{own} {words} {len(pointers):03d} {targets}| {gloss}  \n"

    offsets, place = {}, len(head)
    for name in lines:
        offsets[name] = place
        place += len(line(name, {}))
    (folder / "data.noun").write_text(head + "".join(line(name, offsets) for name in lines))
    index = [  # lemma, synsets by frequency
        ("'hood", ["quarter"]),
        ("animal", ["animal"]),
        ("brown_bear", ["bear"]),
        ("brown-bear", ["bear"]),
        ("bruin", ["bear"]),
        ("hood", ["yogi", "hood"]),
        ("ursus_arctos", ["bear"]),
        ("yogi_bear", ["yogi"]),
        ("yogibear", ["yogi"]),
        ("bear", ["bear"]),
    ]
    rows = (
        f"{lemma} n {len(names)} 1 @ {len(names)} 0 {' '.join(f'{offsets[name]:08d}' for name in names)}  \n"
        for lemma, names in index
    )
    (folder / "index.noun").write_text(head + "".join(rows))
    (folder / "noun.exc").write_text("animalia animal\nbruinen bruin brown-bear nothing\nthings thing\n")
    return {name: f"n{offset:08d}" for name, offset in offsets.items()}


def test_a_dict_folder_becomes_a_table(tmp_path: Path) -> None:
    ids = write_dict(tmp_path)
    table = compile_table(tmp_path, TINY)
    nouns = WordNet(table)
    assert list(nouns.forms) == ["animal", "bear", "brownbear", "bruin", "hood", "ursusarctos", "yogibear"]
    assert nouns.lemmas(ids["bear"]) == ("brown_bear", "bruin", "Ursus_arctos")
    assert nouns.lemmas(ids["animal"]) == ("animal",)
    assert nouns.hypernyms(ids["bear"]) == (ids["animal"],)
    assert nouns.hypernyms(ids["yogi"]) == (ids["bear"],)
    assert nouns.hypernyms(ids["animal"]) == ()
    assert [nouns.lexfile(ids[name]) for name in ids] == [5, 5, 6, 15, 18]
    assert [nouns.is_instance(ids[name]) for name in ids] == [False, False, False, False, True]
    assert nouns.senses("hood", instances=True) == (ids["yogi"], ids["hood"], ids["quarter"])
    assert nouns.lookup("yogibear") == ()
    assert text_lines(table.exceptions) == ["animalia animal", "bruinen bruin brownbear"]
    assert nouns.lookup("bruinen") == (ids["bear"],)


def test_equal_folders_give_equal_bytes(tmp_path: Path) -> None:
    packed = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_dict(tmp_path / name)
        packed.append(packed_table(compile_table(tmp_path / name, TINY)))
    assert packed[0] == packed[1]
    assert b"living thing" not in packed[0]  # no glosses


def test_another_edition_is_refused(tmp_path: Path) -> None:
    write_dict(tmp_path, HEAD.replace("3.0", "3.1").replace("2006", "2011"))
    with pytest.raises(TagmillError, match="copyright notice is missing"):
        compile_table(tmp_path, TINY)
    write_dict(tmp_path)
    with pytest.raises(TagmillError, match="Counts"):
        compile_table(tmp_path, WORDNET_3_0)


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("data.noun", "| a cover", "| a longer cover", "another byte"),
        ("data.noun", " 03 brown_bear", " 04 brown_bear", "not a line of data.noun"),
        ("data.noun", "  \n", "  \r\n", "another byte"),
        ("data.noun", "slang", "slàng", "plain ASCII"),
        ("index.noun", "bruin n 1", "bruin n x", "not a line of index.noun"),
        ("index.noun", "bruin n 1 1 @ 1 0 0", "bruin n 1 1 @ 1 0 9", "not a line of index.noun"),
    ],
)
def test_an_altered_file_is_refused(tmp_path: Path, name: str, old: str, new: str, says: str) -> None:
    write_dict(tmp_path)
    text = (tmp_path / name).read_bytes().decode()
    assert old in text
    (tmp_path / name).write_bytes(text.replace(old, new).encode())
    with pytest.raises(TagmillError, match=says):
        compile_table(tmp_path, TINY)


@pytest.mark.parametrize("name", ["data.noun", "index.noun", "noun.exc"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_dict(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(TagmillError, match=f"cannot read the file.*{name}.*wordnet-base"):
        compile_table(tmp_path, TINY)


def test_the_command_writes_table_and_licence(tmp_path: Path) -> None:
    write_dict(tmp_path)
    into = tmp_path / "into"
    into.mkdir()
    assert main([str(tmp_path)], into, TINY) == 0
    assert (into / "nouns.npz").read_bytes() == packed_table(compile_table(tmp_path, TINY))
    assert (into / "LICENSE").read_text().splitlines() == [
        "This notice stays.",
        "",
        "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.",
    ]


def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
    write_dict(tmp_path)
    into = tmp_path / "into"
    into.mkdir()
    assert main([str(tmp_path)], into) == 1
    assert main([str(tmp_path)], into / "missing", TINY) == 1
    assert capsys.readouterr().err.count("\n") == 2
    assert list(into.iterdir()) == []


def test_the_shipped_table_is_whole() -> None:
    table = shipped()
    forms = text_lines(table.forms)
    assert SenseCounts(len(table.synsets), len(forms), int(table.instances.sum())) == WORDNET_3_0
    assert len(text_lines(table.lemmas)) == len(table.synsets) == len(table.lexfiles)
    assert forms == sorted(set(forms))
    assert len(table.senses_bounds) == len(forms) + 1 and table.senses_bounds[-1] == len(table.senses)
    assert len(table.hypernyms_bounds) == len(table.synsets) + 1
    assert table.hypernyms_bounds[-1] == len(table.hypernyms)
    assert int(table.senses.max()) < len(table.synsets) > int(table.hypernyms.max())
    assert packed_table(table) == files("tagmill.ingest.labels.wordnet").joinpath("nouns.npz").read_bytes()


def test_the_licence_notice_ships_with_the_table() -> None:
    notice = files("tagmill.ingest.labels.wordnet").joinpath("LICENSE").read_text(encoding="ascii")
    words = " ".join(notice.split())
    assert words.startswith(
        "This software and database is being provided to you, the LICENSEE, by Princeton University"
    )
    assert "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved." in words
    assert words.endswith("LICENSEE agrees to preserve same.")
