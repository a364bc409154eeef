"""`tagmill corpus show`: facts in text that a terminal can show, images as files, and nothing that was taken down."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagmill.browse.search.snapshot import CorpusWatch
from tagmill.browse.show import ShowConfig, show, show_command
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.purge import record
from tagmill.shards.takedown import SAMPLE, Row
from tests.shards.corpora import make_corpus, sample


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    return make_corpus(str(tmp_path / "corpus"), tmp_path / "spool").store.url


def test_a_label_prints_the_facts_of_n_samples_and_writes_their_images(
    corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_command([corpus, "--label", "oak", "-n", "2", "--output", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    images = {sample(number).record.key: sample(number).jpeg for number in (2, 7)}
    assert {path.stem: path.read_bytes() for path in (tmp_path / "out").glob("*.jpg")} == images
    for text in [*images, "bear, tag2", "oak (n12268246)", "shards/000001.tar, sample 2", "http://127.0.0.1/7.jpg"]:
        assert text in shown


def test_a_key_prints_one_sample_as_json(corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = sample(9).record.key
    show_command([corpus, "--key", key[:12], "--json", "--output", str(tmp_path)])
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["key"] == key and shown["facts"]["tags"] == ["bear", "tag9"] and shown["name"] == "000001"
    assert shown["labels"]["default"][0]["name"] == "crane"
    assert Path(shown["file"]).read_bytes() == sample(9).jpeg


def test_the_index_leads_to_the_same_samples(corpus: str, tmp_path: Path) -> None:
    from tagmill.browse.search.label_index import write_index

    config = ShowConfig(corpus=corpus, label="oak", n=9, output=str(tmp_path))
    without, _, _ = show(config)
    write_index(CorpusWatch(corpus, None).now(), "default")
    with_index, _, search = show(config)
    assert search.listed is not None and with_index == without and len(with_index) == 4


def test_a_sample_that_is_taken_down_is_not_shown(corpus: str, tmp_path: Path) -> None:
    row = Row(kind=SAMPLE, at="now", shard="000000", ordinal=2, value=sample(2).record.key, by="key")
    record(CorpusWatch(corpus, None).now().corpus, [row])
    with pytest.raises(CorpusError, match="no samples with key"):
        show(ShowConfig(corpus=corpus, key=sample(2).record.key, output=str(tmp_path / "out")))
    shown, _, _ = show(ShowConfig(corpus=corpus, label="oak", output=str(tmp_path / "out")))
    assert sample(2).record.key not in [each.sample.key for each in shown] and len(shown) == 3
    assert not (tmp_path / "out" / f"{sample(2).record.key}.jpg").exists()


def test_of_an_altered_shard_the_rest_is_shown(corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tar = Path(corpus) / "shards" / "000000.tar"
    tar.write_bytes(tar.read_bytes().replace(sample(2).jpeg, bytes(len(sample(2).jpeg))))
    (Path(corpus) / "shards" / "holdout-000000.npy").unlink()
    show_command([corpus, "--label", "oak", "-n", "9", "--output", str(tmp_path / "out")])
    shown = capsys.readouterr()
    assert "altered picture" in shown.out and "bear, tag2" in shown.out
    assert "holdout-000000.npy" in shown.err and "missing" in shown.err
    assert len(list((tmp_path / "out").iterdir())) == 2


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tag=st.text(min_size=1, max_size=30), url=st.text(max_size=2000))
def test_words_of_the_web_print_no_control_character(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tag: str, url: str
) -> None:
    from tests.browse.hostile import corpus_of

    made = corpus_of(tmp_path, tags=(tag, "\x1b]0;title\x07", "[bold]x[/bold]"), url=url)
    show_command([made, "--label", "bear", "-n", "1", "--output", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    assert not [char for char in shown if not char.isprintable() and char != "\n"]
    assert "[bold]x[/bold]" in "".join(shown.split("\n"))


@pytest.mark.parametrize("words", [[], ["--key", "0" * 32, "--label", "x"]])
def test_one_of_key_and_label_is_needed(corpus: str, words: list[str]) -> None:
    with pytest.raises(ConfigError, match="one of --key and --label"):
        show_command([corpus, *words])


def test_no_corpus_and_no_such_label_are_one_line(corpus: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus here"):
        show(ShowConfig(corpus=str(tmp_path / "none"), label="oak"))
    with pytest.raises(ConfigError, match="no label 'zebra'"):
        show(ShowConfig(corpus=corpus, label="zebra"))
