"""An export as a whole: resumed after kills, up to date after takedowns, and never over something else."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.shards.errors import ConfigError, CorpusError, IntegrityError
from tagmill.shards.exchange import export as module
from tagmill.shards.exchange import samples
from tagmill.shards.exchange.export import Wanted, export
from tagmill.shards.exchange.samples import Part
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store
from tests.shards import corpora
from tests.shards.corpora import sample
from tests.shards.exchange.exports import corpus_in, exported, wished
from tests.shards.purger import purge, take_down

FORMATS = ("parquet", "img2dataset")


def objects(folder: Path) -> dict[str, str]:
    """Digests of the objects of an export."""
    store = Store(str(folder))
    return {name: hashlib.sha256(store.read(name)).hexdigest() for name in store.names("")}


def keys(folder: Path, split: str = "*") -> set[str]:
    paths = sorted(folder.glob(f"data/{split}-*.parquet")) or sorted(folder.glob(f"{split}/*.parquet"))
    return {key for path in paths for key in pq.read_table(path, columns=["key"])["key"].to_pylist()}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_in(tmp_path)


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_has_every_sample_of_its_splits(corpus: Corpus, tmp_path: Path, format: str) -> None:
    found = exported(tmp_path, format)
    assert (found.parts, found.samples, found.taken_down, found.written) == (3, 15, 0, 3)
    assert keys(tmp_path / format) == {wished(number).key for number in range(15)}
    assert keys(tmp_path / format, "holdout") == {wished(number).key for number in range(12, 15)}
    markers = [json.loads(path.read_bytes()) for path in sorted((tmp_path / format / ".export").iterdir())]
    for name, facts in (pair for marker in markers for pair in marker["objects"].items()):
        data = (tmp_path / format / name).read_bytes()
        assert facts == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_a_limit_and_a_split(corpus: Corpus, tmp_path: Path) -> None:
    assert exported(tmp_path, limit=7, splits=("train",)).samples == 7
    assert keys(tmp_path / "parquet") == {wished(number).key for number in range(7)}
    with pytest.raises(CorpusError, match="no view 'other'"):
        export(Wanted(corpus.store.url, str(tmp_path / "x"), view="other"))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("when", "name"),
    [
        ("before", "00001"),
        ("after", r"00001.*\.(tar|parquet)$"),
        ("before", r"\.export/train-00001"),
        ("after", r"\.export/train-00000"),
    ],
)
def test_an_export_that_was_stopped_goes_on_after_its_last_part(
    corpus: Corpus, tmp_path: Path, format: str, when: str, name: str
) -> None:
    put = Store.put

    def stopping(self: Store, to: str, source: bytes | Path, **how: Any) -> None:
        hit = re.search(name, to)
        if not hit or when == "after":
            put(self, to, source, **how)
        if hit:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "put", stopping)
        exported(tmp_path, format, at_once=1)
    assert exported(tmp_path, format).written == 2
    again = exported(tmp_path, format)
    assert (again.written, again.samples) == (0, 15)
    fresh = export(Wanted(corpus.store.url, str(tmp_path / "fresh"), format))
    assert fresh.bytes == again.bytes
    assert objects(tmp_path / "fresh") == objects(tmp_path / format)


@pytest.mark.parametrize("format", FORMATS)
def test_parts_are_written_again_for_what_was_taken_down_since(corpus: Corpus, tmp_path: Path, format: str) -> None:
    exported(tmp_path, format)
    listed = take_down(corpus, [("000001", 1), ("000001", 3)])
    found = exported(tmp_path, format)
    assert (found.written, found.samples, found.taken_down) == (1, 13, 2)
    assert keys(tmp_path / format) == {wished(number).key for number in range(15) if number not in (6, 8)}
    gone = [wished(number).image for number in (6, 8)]
    store = Store(str(tmp_path / format))
    assert not any(image in store.read(name) for name in store.names("") for image in gone)
    purge(listed, tmp_path / "spool")
    assert exported(tmp_path, format).written == 0


def test_a_sample_that_is_taken_down_meanwhile_is_in_no_part(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a part that is written already, and of one that comes."""
    whole, calls = module._Run._part, list[str]()

    def part(self: Any, each: Part) -> dict[str, Any]:
        found = whole(self, each)
        calls.append(each.entry.name)
        if len(calls) == 1:
            take_down(Corpus.open(corpus.store.url), [("000000", 4), ("000001", 0)])
        return found

    monkeypatch.setattr(module._Run, "_part", part)
    found = exported(tmp_path, at_once=1)
    assert (found.samples, found.taken_down, found.written) == (13, 2, 4)
    assert calls == ["000000", "000001", "holdout-000000"] * 2
    assert keys(tmp_path / "parquet") == {wished(number).key for number in range(15) if number not in (4, 5)}


@pytest.mark.parametrize("spoil", [None, b"", b"{}", b"[1]", b'{"objects": {}}'])
def test_a_part_whose_marker_is_spoilt_is_written_again(corpus: Corpus, tmp_path: Path, spoil: bytes | None) -> None:
    exported(tmp_path)
    before = objects(tmp_path / "parquet")
    marker = tmp_path / "parquet/.export/train-00001.json"
    marker.unlink() if spoil is None else marker.write_bytes(spoil)
    assert exported(tmp_path).written == 1 and objects(tmp_path / "parquet") == before


def test_a_part_that_is_cut_or_gone_is_written_again(corpus: Corpus, tmp_path: Path) -> None:
    exported(tmp_path)
    before = objects(tmp_path / "parquet")
    cut, gone = sorted((tmp_path / "parquet/data").glob("train-*"))
    cut.write_bytes(cut.read_bytes()[:-1])
    gone.unlink()
    assert exported(tmp_path).written == 2 and objects(tmp_path / "parquet") == before


def test_nothing_else_is_written_over(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match=r"not empty: it has 'letter.txt'"):
        export(Wanted(corpus.store.url, str(tmp_path / "mine")))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    exported(tmp_path)
    for changes in ({"limit": 3}, {"splits": ("train",)}, {"format": "img2dataset"}):
        with pytest.raises(ConfigError, match="another export"):
            export(Wanted(corpus.store.url, str(tmp_path / "parquet"), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("inside", ["corpus", "corpus/out", "."])
def test_an_output_in_the_corpus_is_refused(corpus: Corpus, tmp_path: Path, inside: str) -> None:
    with pytest.raises(ConfigError, match="the corpus"):
        export(Wanted(corpus.store.url, str((tmp_path / inside).resolve())))
    assert not corpus.store.names("exports")


def test_an_altered_image_ends_the_export_and_leaves_no_part_of_it(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "corpus/shards/000001.tar"
    data = bytearray(path.read_bytes())
    data[512] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="altered picture"):
        exported(tmp_path, at_once=1)
    assert [path.name for path in (tmp_path / "parquet/data").iterdir()] == ["train-00000-of-00002.parquet"]


def test_without_a_record_the_corpus_is_only_read(corpus: Corpus, tmp_path: Path) -> None:
    before = objects(tmp_path / "corpus")
    exported(tmp_path, record=False)
    assert objects(tmp_path / "corpus") == before


@pytest.mark.parametrize("format", FORMATS)
def test_memory_is_that_of_a_block_and_not_of_a_shard(
    tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of images a block, 12 a shard."""
    monkeypatch.setattr(corpora, "sample", lambda number: sample(number, 1 << 18))
    corpora.make_corpus(str(tmp_path / "corpus"), tmp_path / "spool", (48,), ())
    monkeypatch.setattr(samples, "BLOCK_BYTES", 1 << 20)
    pool, whole, peaks = pa.default_memory_pool(), samples._block, list[int]()
    before = pool.bytes_allocated()

    def block(*given: Any) -> Any:
        peaks.append(pool.bytes_allocated() - before)
        return whole(*given)

    monkeypatch.setattr(samples, "_block", block)
    exported(tmp_path, format, at_once=1)
    assert len(peaks) == 12 and max(peaks) < 5 << 20
