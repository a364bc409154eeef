"""The restart interval of a run without the flag: that of what it goes on with, so that a corpus has images of one kind."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest import ingest
from tagmill.ingest.layout import PARTITION_MARKER, STACK_PIN, done_file
from tagmill.ingest.restart_interval import with_interval
from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.manifest import Corpus, CorpusFile, Named, ShardEntry, commit
from tagmill.shards.reader import ShardReader
from tagmill.shards.storage.store import Store
from tagmill.shards.view import View
from tests.ingest.growing import CountingWeb, counting_web, digests, settings, write
from tests.ingest.test_run_redo import killed_at_the_end


@pytest.fixture(scope="module")
def web() -> Iterator[CountingWeb]:
    with counting_web() as found:
        yield found


@pytest.fixture(scope="module")
def lists(web: CountingWeb, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    for which in "ab":
        write(folder, web.url, which)
    return folder


def a_corpus(store: Store, policy: dict[str, Any]) -> None:
    commit(store, CorpusFile("c", Named("manifests/m.parquet", "0" * 64), {}, image_policy=policy))


def a_run(store: Store, fields: dict[str, Any]) -> None:
    marker = {"num_parts": 1, "rows": 1, "inputs": [], "layout": 2, "fields": fields}
    store.put(PARTITION_MARKER, json.dumps(marker).encode())


def a_pin(store: Store, stack: dict[str, str]) -> None:
    store.put(STACK_PIN, json.dumps({"image_stack": stack, "code_version": "0"}).encode())


FOUND: dict[str, tuple[Callable[[Store], None], object]] = {
    "nothing": (lambda store: None, "auto"),
    "a corpus of before": (lambda store: a_corpus(store, {"image_size": 256}), 0),
    "a corpus with an interval": (lambda store: a_corpus(store, {"restart_interval": 4}), 4),
    "a corpus with markers": (lambda store: a_corpus(store, {"restart_interval": "auto"}), "auto"),
    "a run of before": (lambda store: a_run(store, {"image_size": 256}), 0),
    "a run with an interval": (lambda store: a_run(store, {"restart_interval": 4}), 4),
    "a run with markers": (lambda store: a_run(store, {"restart_interval": "auto"}), "auto"),
    "the pin of a run of before": (lambda store: a_pin(store, {"pillow": "1"}), 0),
    "the pin of a run with markers": (lambda store: a_pin(store, {"restart_markers": "0" * 16}), "auto"),
}


@pytest.mark.parametrize("what", FOUND)
def test_a_run_without_the_flag_has_what_is_there(tmp_path: Path, what: str) -> None:
    put, interval = FOUND[what]
    put(store := Store(str(tmp_path)))
    for extend in (False, True):
        chosen = with_interval(settings("rows", tmp_path, extend=extend), store)
        assert chosen == settings("rows", tmp_path, extend=extend, restart_interval=interval)
    for given in (0, 7, "auto"):
        wanted = settings("rows", tmp_path, restart_interval=given)
        assert with_interval(wanted, store) == wanted
    never = settings("rows", tmp_path, resize="no", reencode="never")
    assert with_interval(never, store).markers == 0


def test_what_a_corpus_says_must_be_an_interval(tmp_path: Path) -> None:
    a_corpus(store := Store(str(tmp_path)), {"restart_interval": "rows"})
    with pytest.raises(ConfigError, match="give auto or a whole number from 0 to 65535"):
        with_interval(settings("rows", tmp_path), store)


def shards_of(output: Path) -> list[ShardEntry]:
    return list(Corpus.open(str(output)).entries)


def marked(output: Path) -> list[bool]:
    """Of every image of a corpus, whether its header has a restart interval."""
    corpus = Corpus.open(str(output))
    found = []
    for entry in corpus.entries:
        reader = ShardReader.of(corpus, entry)
        pictures = reader.pictures(reader.index(0, entry.samples))
        found += [b"\xff\xdd\0\4" in jpeg for jpeg in pictures if isinstance(jpeg, bytes)]
    assert found
    return found


@pytest.fixture(scope="module")
def corpora(lists: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[object, Path]:
    """A corpus of list a with the restart interval None, and one with 0."""
    folder = tmp_path_factory.mktemp("corpora")
    for interval in (None, 0):
        ingest(settings(str(lists / "a.parquet"), folder / str(interval), restart_interval=interval))
    return {interval: folder / str(interval) for interval in (None, 0)}


@pytest.mark.parametrize(("begun", "markers"), [(None, "auto"), (0, 0)])
def test_a_corpus_keeps_its_kind_of_images_when_it_is_extended(
    lists: Path, corpora: dict[object, Path], tmp_path: Path, begun: object, markers: object
) -> None:
    """Without the flag, and with the corpus's own value: the same bytes. With another it is refused, and nothing is written."""
    policy = Corpus.open(str(corpora[begun])).file.image_policy
    assert policy.get("restart_interval", 0) == markers and ("restart_interval" in policy) == bool(markers)
    grown = []
    for number, flag in enumerate([{}, {"restart_interval": markers}]):
        output = Path(shutil.copytree(corpora[begun], tmp_path / str(number)))
        ingest(settings(str(lists / "b.parquet"), output, extend=True, **flag))
        assert set(marked(output)) == {bool(markers)}
        assert Corpus.open(str(output)).file.image_policy == policy
        grown.append({name: sha256 for name, sha256 in digests(output).items() if name != "corpus.json"})
    assert grown[0] == grown[1]
    other = 4 if markers else "auto"
    output = Path(shutil.copytree(corpora[begun], tmp_path / "other"))
    before = digests(output)
    with pytest.raises(ConfigError, match=f"restart_interval {markers!r} there and {other!r} here"):
        ingest(settings(str(lists / "b.parquet"), output, extend=True, restart_interval=other))
    assert digests(output) == before


def test_markers_change_only_the_images_and_what_counts_their_bytes(corpora: dict[object, Path]) -> None:
    """The same samples in the same shards and order, with the same hashes and labels."""
    tables = []
    for output in corpora.values():
        shards = [read_table((output / f"shards/{entry.name}.parquet").read_bytes()) for entry in shards_of(output)]
        tables.append([shard.drop_columns(["offset", "size", "crc32"]).to_pylist() for shard in shards])
    with_markers, without = tables
    assert with_markers == without and {"key", "pdq0", "width"} <= set(without[0][0])
    assert [each.name for each in shards_of(corpora[None])] == [each.name for each in shards_of(corpora[0])]
    views = [View.open(Corpus.open(str(output)), "default").vocabulary.json() for output in corpora.values()]
    assert views[0] == views[1]


def test_an_unfinished_run_of_before_goes_on_without_markers(
    web: CountingWeb, lists: Path, corpora: dict[object, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record lacks the interval. A part is made again: its images have none either, and the bytes are those of 0."""
    output = tmp_path / "corpus"
    killed_at_the_end(monkeypatch, settings(str(lists / "a.parquet"), output, restart_interval=0))
    assert "restart_interval" not in json.loads((output / PARTITION_MARKER).read_text())["fields"]
    (output / done_file(1)).unlink()
    with pytest.raises(ConfigError, match=r"begun without restart markers.*leave it out"):
        ingest(settings(str(lists / "a.parquet"), output, restart_interval="auto"))
    with pytest.raises(ConfigError, match="begun without restart markers"):
        ingest(settings(str(lists / "a.parquet"), output, restart_interval=1, mixed_stack=True))
    web.asked.clear()
    ingest(settings(str(lists / "a.parquet"), output))
    assert web.asked and set(marked(output)) == {False}
    assert digests(output) == digests(corpora[0])


def test_a_finished_run_of_before_is_known_by_its_command(
    web: CountingWeb, lists: Path, corpora: dict[object, Path], tmp_path: Path
) -> None:
    """Its digest has no interval. The command without the flag is that run, which nothing is left to do for."""
    output = Path(shutil.copytree(corpora[0], tmp_path / "corpus"))
    wanted = settings(str(lists / "b.parquet"), output, extend=True, keep_parts=True)
    report = ingest(wanted)
    last = Corpus.open(str(output)).file.lineage[-1]
    assert last["config_sha256"] == replace(wanted, restart_interval=0).digest() != wanted.digest()
    web.asked.clear()
    assert ingest(wanted) == report and not web.asked and len(Corpus.open(str(output)).file.lineage) == 2
