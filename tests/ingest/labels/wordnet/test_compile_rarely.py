"""The list of rare nouns follows from WordNet's counts, and from no other files; the shipped one is read."""

from pathlib import Path

import pytest

from tagmill.ingest.labels.synsets import WordNet
from tagmill.ingest.labels.wordnet.compile import compile_table
from tagmill.ingest.labels.wordnet.compile_rarely import compile_rarely, main
from tagmill.shards.errors import TagmillError
from tests.ingest.labels.wordnet.test_compile import HEAD, TINY, write_dict


def wordnet_in(folder: Path, counts: str) -> WordNet:
    """A dict folder of the nouns of `write_dict`, with other parts of speech; `counts` are lines of cntlist.rev."""
    write_dict(folder)
    (folder / "index.verb").write_text(f"{HEAD}bear v 1 1 @ 1 0 00000001  \nhood v 1 1 @ 1 0 00000002  \n")
    (folder / "index.adj").write_text(f"{HEAD}animal a 1 0 1 0 00000001  \n")
    (folder / "index.adv").write_text(HEAD)
    (folder / "verb.exc").write_text("bore bear\n")
    (folder / "cntlist.rev").write_text(counts)
    return WordNet(compile_table(folder, TINY))


@pytest.mark.parametrize(
    ("counts", "listed"),
    [
        ("", []),
        ("bear%2:30:00:: 1 2\n", []),  # one use as a noun is added, and half of a verb's forms count
        ("bear%2:30:00:: 1 2\nbear%2:31:00:: 2 1\n", ["bear"]),
        ("bear%1:05:00:: 1 3\nbear%2:30:00:: 1 8\n", []),
        ("bear%1:05:00:: 1 3\nbear%2:30:00:: 1 9\n", ["bear"]),
        ("animal%3:00:00:: 1 1\n", []),
        ("animal%3:00:00:: 1 1\nanimal%5:00:00:bodily:00 2 1\n", ["animal"]),
        ("brown_bear%2:30:00:: 1 9\n", []),  # only nouns of one word
    ],
)
def test_a_noun_is_listed_by_its_counts(tmp_path: Path, counts: str, listed: list[str]) -> None:
    assert compile_rarely(tmp_path, wordnet_in(tmp_path, counts)) == listed


def test_broken_and_other_files_are_refused(tmp_path: Path) -> None:
    wordnet = wordnet_in(tmp_path, "bear%2:30:00:: 1\n")
    with pytest.raises(TagmillError, match=r"not a line of cntlist\.rev .*line 1"):
        compile_rarely(tmp_path, wordnet)
    (tmp_path / "cntlist.rev").write_text("")
    with pytest.raises(TagmillError, match="not the nouns of the shipped table"):
        compile_rarely(tmp_path, WordNet.load())
    (tmp_path / "index.adv").unlink()
    with pytest.raises(TagmillError, match=r"cannot read the file.*index\.adv"):
        compile_rarely(tmp_path, wordnet)


def test_the_command_writes_the_list_or_says_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wordnet = wordnet_in(tmp_path, "hood%2:30:00:: 1 5\nanimal%3:00:00:: 1 5\n")
    into = tmp_path / "into"
    into.mkdir()
    assert main([str(tmp_path)], into, wordnet) == 0
    assert (into / "rarely_nouns.txt").read_text() == "animal\nhood\n"
    assert main([], into, wordnet) == 2 and "usage" in capsys.readouterr().err
    assert main([str(tmp_path)], into) == 1 and "shipped table" in capsys.readouterr().err
