"""End to end without a web: img2dataset's tars, our own shards and folders of pictures become corpora, on disk and on S3."""

import io
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tagmill.ingest import IngestConfig, ingest
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.input_table import read_inputs
from tagmill.shards.lint import lint_shard
from tagmill.shards.manifest import Corpus
from tagmill.shards.reader import ShardReader
from tagmill.shards.storage.store import Store
from tagmill.shards.view import View
from tests.ingest.deadly import run_deadly
from tests.ingest.forked import Ended, ForkedRuns
from tests.ingest.smallweb import PICTURES, WORDS, listing, picture, web
from tests.ingest.tarmaker import tar
from tests.ingest.test_run import digests

__all__ = ["listing", "web"]  # fixtures

SMALL: dict[str, Any] = {
    "rows_per_part": 10,
    "parts_per_group": 3,
    "shard_samples": 6,
    "image_size": 32,
    "processes": 1,
}
CAPTIONS: dict[str, Any] = {"preset": "img2dataset", "extra_columns": ("caption", "exif")}


def config(given: Path | str, output: Path | str, **changes: Any) -> IngestConfig:
    return IngestConfig(input=(str(given),), output=str(output), **{**SMALL, **changes})


@pytest.fixture(scope="module")
def img2dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What img2dataset leaves: tars, and beside them tables that have the failed rows too. One sample has no picture, one a
    broken one, and one is there twice."""
    folder = tmp_path_factory.mktemp("wds")
    for shard in range(4):
        entries, rows = [], []
        for number in range(shard, PICTURES, 4):
            key = f"{shard:05d}{number:04d}"
            meta = {
                "url": f"http://a.example/{number}",
                "caption": f"my {WORDS[number % 8]} #{WORDS[number % 3].strip('#')}",
            }
            facts = {
                **meta,
                "key": key,
                "status": "success",
                "error_message": None,
                "width": 64,
                "height": 48,
                "exif": "{}",
            }
            data = {2: b"no picture"}.get(number, picture(5 if number == 40 else number))
            entries += [(f"{key}.jpg", data)] * (number != 7)
            entries += [(f"{key}.json", json.dumps(facts).encode()), (f"{key}.txt", meta["caption"].encode())]
            rows.append(facts)
        tar(folder / f"{shard:05d}.tar", entries)
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{shard:05d}.parquet")
        (folder / f"{shard:05d}_stats.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def first(img2dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of that, made in one process, for the tests that only read it."""
    output = tmp_path_factory.mktemp("first") / "corpus"
    ingest(config(img2dataset, output, **CAPTIONS))
    return output


def shard_rows(output: Path | str) -> list[dict[str, Any]]:
    """The tables of all shards in the corpus's order."""
    corpus = Corpus.open(str(output))
    found = []
    for entry in corpus.entries:
        lint_shard(corpus, entry)
        with corpus.store.open(f"shards/{entry.name}.parquet") as file:
            found += pq.read_table(file).to_pylist()
    return found


def of(found: dict[str, str], *rooms: str) -> dict[str, str]:
    return {name: digest for name, digest in found.items() if name.startswith(rooms)}


def test_img2datasets_output(img2dataset: Path, tmp_path: Path) -> None:
    report = ingest(config(img2dataset, tmp_path / "corpus", **CAPTIONS))
    assert report.rows == PICTURES and sum(report.samples.values()) == PICTURES - 3
    assert report.rejects == {"duplicate": 1, "no_picture": 1, "not_an_image": 1}
    for row in shard_rows(tmp_path / "corpus"):
        number = int(row["url"].rpartition("/")[2])
        assert row["sha256"] == sha256_hex(picture(5 if number == 40 else number)) and row["key"] == row["sha256"][:32]
        assert row["tags"] == [word.strip("#") for word in row["caption"].split() if word.startswith("#")]
    refused = pa.concat_tables(map(pq.read_table, sorted((tmp_path / "corpus/rejects").iterdir()))).to_pylist()
    assert {(row["reason"], row["url"]) for row in refused} == {
        ("no_picture", "http://a.example/7"),
        ("not_an_image", "http://a.example/2"),
        ("duplicate", "http://a.example/5"),  # 40 is in the first tar
    }
    lineage = json.loads((tmp_path / "corpus/corpus.json").read_text())["lineage"][0]
    listed = read_inputs(Corpus.open(str(tmp_path / "corpus")), 0).to_pylist()
    assert [entry["rows"] for entry in listed] == [11] * 4 and lineage["order"] == "hash"
    for entry in listed:
        assert entry["kind"] == "tars" and entry["bytes"] == Path(entry["name"]).stat().st_size
        assert len(entry["listing_sha256"]) == 64


def test_processes_and_stores_change_no_byte(img2dataset: Path, first: Path, tmp_path: Path, s3_bucket: str) -> None:
    """From a folder in one process; in three; from a bucket, to a bucket."""
    ingest(config(img2dataset, tmp_path / "three", processes=3, **CAPTIONS))
    wanted = digests(first)
    assert digests(tmp_path / "three") == wanted
    for path in img2dataset.iterdir():
        Store(f"{s3_bucket}/wds").put(path.name, path)
    ingest(config(f"{s3_bucket}/wds", f"{s3_bucket}/corpus", processes=2, **CAPTIONS))
    store = Store(f"{s3_bucket}/corpus")
    found = {name: sha256_hex(store.read(name)) for name in store.names("")}
    bytes_alone = of(wanted, "shards", "rejects", "views")
    assert bytes_alone and of(found, *bytes_alone) == bytes_alone


@pytest.mark.parametrize("policy", ["auto", "never"])
def test_our_own_shards_are_a_source(first: Path, tmp_path: Path, policy: str) -> None:
    """Nothing is re-encoded: the same JPEGs, tags and facts come out."""
    again: dict[str, Any] = {"resize": "no", "reencode": policy, "extra_columns": ("caption",)}
    report = ingest(config(first / "shards", tmp_path / "second", keep_order=True, **again))
    assert report.rejects == {}
    before, after = shard_rows(first), shard_rows(tmp_path / "second")
    assert [(row["url"], row["tags"], row["caption"]) for row in before] == [
        (row["url"], row["tags"], row["caption"]) for row in after
    ]
    for old, new in zip(pictures(first), pictures(tmp_path / "second"), strict=True):
        assert np.array_equal(pixels(old), pixels(new))
    assert [sha256_hex(data) for data in pictures(first)] == [row["sha256"] for row in after]
    with pytest.raises(Exception, match=r"a corpus .*give its shards"):
        ingest(config(first, tmp_path / "third", **again))
    whole = ingest(config(first, tmp_path / "third", source="tars", **again))
    assert whole.samples == report.samples


def pictures(output: Path) -> list[bytes]:
    corpus, found = Corpus.open(str(output)), []
    for entry in corpus.entries:
        reader = ShardReader.of(corpus, entry)
        found += [reader.sample(ordinal)[1] for ordinal in range(entry.samples)]
    return found


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    """Folders are labels: words, and synsets as ImageNet calls them."""
    folders = ["brown_bear", "n02123045", "nothing-known-9"]
    for number in range(24):
        path = tmp_path / "photos" / folders[number % 3] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    (tmp_path / "photos/brown_bear/cut.jpg").write_bytes(picture(1)[:-100])
    (tmp_path / "photos/empty.png").write_bytes(b"")
    report = ingest(config(tmp_path / "photos", tmp_path / "corpus", tags_from_folder=True, max_bytes=50_000))
    assert report.rows == 26 and report.samples["train"] == 24
    assert report.rejects == {"empty": 1, "truncated": 1}
    for row in shard_rows(tmp_path / "corpus"):
        assert row["tags"] == [row["url"].split("/")[0]]
        assert row["sha256"] == sha256_hex((tmp_path / "photos" / row["url"]).read_bytes())
    labels = {
        label.synsets: (label.name, label.images)
        for label in View.open(Corpus.open(str(tmp_path / "corpus")), "default").vocabulary.labels
    }
    assert labels == {("n02132136",): ("brownbear", 8), ("n02123045",): ("tabby", 8)}


def test_a_run_without_labels_says_so_before_the_fetch_and_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(6):
        path = tmp_path / "photos" / ("brown_bear", "tabby")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    report = ingest(config(tmp_path / "photos", tmp_path / "corpus"))
    assert report.labels == 0 and report.few_labels is not None and report.few_labels.cause == "no_tags"
    assert "--tags-from-folder" in report.few_labels.remedy
    (early,) = [record.getMessage() for record in caplog.records if "first 6 rows" in record.getMessage()]
    assert "such as 'tabby'" in early and "give --tags-from-folder" in early
    assert json.loads((tmp_path / "corpus/report.json").read_bytes())["few_labels"]["tags"] == 0
    caplog.clear()
    assert ingest(config(tmp_path / "photos", tmp_path / "good", tags_from_folder=True)).few_labels is None
    assert not [record for record in caplog.records if "rows" in record.getMessage()]


def test_a_picture_that_is_too_big_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / f"photos/{number}.jpg").write_bytes(picture(number) + b"\0" * (60_000 * (number == 1)))
    report = ingest(config(tmp_path / "photos", tmp_path / "corpus", max_bytes=50_000))
    assert report.rejects == {"too_big": 1} and report.samples["train"] == 2


def ids(output: Path) -> list[int]:
    """row_ids of the samples in the corpus's order; by sha256, as shards hold no row_id."""
    attempts = [
        path
        for path in sorted((output / "parts").glob("0*/*.parquet"))
        if path.name.count(".") == 1 and path.name != "rows.parquet"
    ]
    rows = [row for path in attempts for row in pq.read_table(path).to_pylist()]
    by_sha: dict[str, int] = {}
    for row in rows:
        if row["reason"] is None:
            by_sha[row["sha256"]] = min(row["row_id"], by_sha.get(row["sha256"], 1 << 62))
    return [by_sha[row["sha256"]] for row in shard_rows(output)]


@pytest.mark.parametrize("source", ["tars", "list"])
def test_the_order_of_the_input_is_kept(img2dataset: Path, listing: str, tmp_path: Path, source: str) -> None:
    """In one process and in three, of tars and of URLs of which some come twice."""
    given: Any = img2dataset if source == "tars" else listing
    more: dict[str, Any] = CAPTIONS if source == "tars" else {"extra_columns": ("n",), "allow_private": True}
    more = {**more, "keep_order": True, "keep_parts": True}
    ingest(config(given, tmp_path / "one", **more))
    found = ids(tmp_path / "one")
    assert found == sorted(found) and len(found) == (PICTURES if source == "list" else PICTURES - 3)
    ingest(config(given, tmp_path / "three", **{**more, "processes": 3, "concurrency": 6}))
    assert digests(tmp_path / "one") == digests(tmp_path / "three")
    row_files = sorted((tmp_path / "one/parts").glob("*/rows.parquet"))
    sizes = [pq.read_metadata(path).num_rows for path in row_files]
    assert sizes[:-1] == [10] * (len(sizes) - 1) and 0 < sizes[-1] <= 10
    lineage = json.loads((tmp_path / "one/corpus.json").read_text())["lineage"][0]
    assert lineage["order"] == "input"
    by_hash = config(given, tmp_path / "one", **{**more, "keep_order": False})
    assert by_hash.digest() != config(given, tmp_path / "one", **more).digest()


@pytest.mark.slow
@pytest.mark.parametrize("keep_order", [True, False])
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    img2dataset: Path, first: Path, tmp_path: Path, keep_order: bool, runs: ForkedRuns
) -> None:
    """The order of the input is a matter of dealing alone, so that only the kills of that time are there with it. After a part
    is written nothing is of tars any more: tests/ingest/test_run.py kills runs there, and this test with TAGMILL_WHOLE=1."""
    output = tmp_path / "corpus"
    chosen: dict[str, Any] = {**CAPTIONS, "keep_order": keep_order, "processes": 2}
    whole = tmp_path / "whole" if keep_order else first
    if keep_order:
        ingest(config(img2dataset, whole, **chosen))

    def run(kill: str) -> Ended:
        wanted = config(img2dataset, output, spool=str(tmp_path / "spool"), **chosen)
        return run_deadly(runs, tmp_path, wanted, kill)

    kills = ["after:parts/000001/rows", "half:parts/dealt.json"]
    later = ["half:parts/000002/[^/]*parquet"]
    if os.environ.get("TAGMILL_WHOLE"):
        later += ["after:parts/000003/done", "before:shards/000002.tar"]
    for kill in kills if keep_order else [*kills, *later]:
        done = run(kill)
        assert done.returncode == -signal.SIGKILL, (kill, done.stderr)
    done = run("never:")
    assert (done.returncode, done.stdout.strip()) == (0, str(PICTURES)), done.stderr
    assert digests(output) == digests(whole)


def test_what_changes_between_partition_and_fetch_is_a_reason(
    img2dataset: Path, tmp_path: Path, runs: ForkedRuns
) -> None:
    """One tar is cut, one is gone; the others' samples are there."""
    folder = tmp_path / "wds"
    shutil.copytree(img2dataset, folder)
    chosen = config(folder, tmp_path / "corpus", source="tars", **CAPTIONS)
    assert run_deadly(runs, tmp_path, chosen, "after:parts/dealt.json").returncode == -signal.SIGKILL
    data = (folder / "00001.tar").read_bytes()
    (folder / "00001.tar").write_bytes(data[:-512])
    (folder / "00003.tar").rename(folder / "00003.tar.old")
    (folder / "00003.tar").symlink_to(folder / "nowhere")
    report = ingest(chosen)
    assert report.rows == PICTURES
    assert report.rejects["changed"] == 11 and report.rejects["not_found"] == 10  # one of the eleven has no picture


def test_what_is_taken_down_is_not_read(img2dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("url http://a.example/3\nurl http://a.example/2\n")
    report = ingest(config(img2dataset, tmp_path / "corpus", takedown=(str(tmp_path / "list.txt"),), **CAPTIONS))
    assert report.rejects == {"duplicate": 1, "no_picture": 1, "taken_down": 2}


def test_a_tar_that_is_broken_stops_before_anything_is_committed(img2dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wds"
    shutil.copytree(img2dataset, folder)
    data = bytearray((folder / "00002.tar").read_bytes())
    data[:20] = b"not a header at all."
    (folder / "00002.tar").write_bytes(data)
    with pytest.raises(Exception, match=r"no header of a tar member at byte 0.*00002\.tar"):
        ingest(config(folder, tmp_path / "corpus", **CAPTIONS))
    assert not (tmp_path / "corpus/corpus.json").exists()
