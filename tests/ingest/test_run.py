"""End to end over a small web on loopback: the laws of a corpus, for any number of processes, and after a kill at any point."""

import hashlib
import json
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from tagmill.ingest import IngestConfig, Report, ingest
from tagmill.ingest.config.fetch import NO_CONTACT
from tagmill.ingest.endings.ingest_ending import ingest_ending
from tagmill.ingest.http.proxy import PROXY_WARNING
from tagmill.ingest.layout import CLOSING_MARKER, STACK_PIN
from tagmill.shards.errors import CorpusError, TagmillError
from tagmill.shards.lint import lint_shard, lint_view
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store
from tagmill.shards.view import View
from tests.ingest.deadly import run_deadly
from tests.ingest.forked import Ended, ForkedRuns
from tests.ingest.smallweb import PICTURES, config, listing, picture, web

__all__ = ["listing", "web"]  # fixtures

LAWFUL = ("shards", "manifests", "views", "rejects", "corpus.json")  # bytes that are a function of input and web alone


def digests(output: Path) -> dict[str, str]:
    """By object; what a put that was killed left beside them is none."""
    store = Store(str(output))
    return {name: hashlib.sha256(store.read(name)).hexdigest() for name in store.names("") if name.startswith(LAWFUL)}


class Built:
    """A corpus, built once for the tests that only look at it."""

    def __init__(self, output: Path, report: Report) -> None:
        self.output, self.report = output, report
        self.corpus = Corpus.open(str(output))
        self.digests = digests(output)

    def tars(self) -> list[str]:
        return [str(self.output / "shards" / f"{entry.name}.tar") for entry in self.corpus.entries]


@pytest.fixture(scope="module")
def built(listing: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    output = tmp_path_factory.mktemp("built") / "corpus"
    return Built(output, ingest(config(listing, output)))


def test_rows_in_are_samples_and_rejects(built: Built, listing: str) -> None:
    report = built.report
    rows = pq.read_table(listing).num_rows
    assert report.rows == rows == sum(report.samples.values()) + sum(report.rejects.values())
    assert report.samples == {"train": PICTURES - 5, "holdout": 5}
    assert report.duplicates == report.rejects["duplicate"] == 11
    assert sum(report.rejects.values()) - report.duplicates == 4
    assert sum(entry.samples for entry in built.corpus.entries) == PICTURES
    refused = pa.concat_tables(pq.read_table(path) for path in sorted((built.output / "rejects").iterdir()))
    assert Counter(refused["reason"].to_pylist()) == report.rejects
    ledger = pa.concat_tables(pq.read_table(path) for path in sorted((built.output / "ledger").iterdir()))
    assert sorted(ledger["row_id"].to_pylist()) == list(range(rows))


def test_every_shard_and_the_view_hold_together(built: Built) -> None:
    for entry in built.corpus.entries:
        lint_shard(built.corpus, entry)
        assert entry.samples <= 6
    lint_view(built.corpus, "default")
    assert [entry.split for entry in built.corpus.entries] == sorted(
        (entry.split for entry in built.corpus.entries), reverse=True
    )
    assert not (built.output / "parts").exists()


def test_copies_give_their_tags_to_the_kept_row(built: Built, listing: str) -> None:
    """The first row of equal pictures is kept; the labels of a sample are those of all its rows."""
    view = View.open(built.corpus, "default")
    ids = {token: label.id for label in view.vocabulary.labels for token in label.tokens}
    rows = pq.read_table(listing).to_pylist()
    for number, entry in enumerate(built.corpus.entries):
        table = pq.read_table(built.output / "shards" / f"{entry.name}.parquet").to_pylist()
        for row, labels in zip(table, view.labels(number, 0, entry.samples).tolist(), strict=True):
            assert row["n"] < PICTURES and row["tags"] == rows[row["n"]]["tags"]
            tags = {tag for other in rows if same_picture(other["url"], row["n"]) for tag in other["tags"]}
            tokens = {tag.lower().lstrip("#") for tag in tags}
            assert {label for label in labels if label >= 0} == {ids[token] for token in tokens if token in ids}


def same_picture(url: str | None, number: int) -> bool:
    return url is not None and url.startswith("http:") and url.endswith(f"/{number}")


def test_the_vocabulary_goes_by_count(built: Built) -> None:
    labels = View.open(built.corpus, "default").vocabulary.labels
    assert labels and [(-label.images, label.synsets) for label in labels] == sorted(
        (-label.images, label.synsets) for label in labels
    )
    assert all(label.name in label.tokens for label in labels)  # called by what people say


def test_the_report_is_in_the_corpus_and_on_the_screen(built: Built) -> None:
    assert Report.parse((built.output / "report.json").read_bytes()) == built.report
    shown = "\n".join(ingest_ending(built.report))
    assert "  duplicate " in shown and f"rows     {built.report.rows}" in shown
    assert all(label.tokens and set(label.tokens) for label in built.report.top_labels)
    assert set(built.report.seconds) == {"partition", "hosts", "robots", "fetch", "select", "pack", "label"}


def test_two_processes_give_the_same_bytes(built: Built, listing: str, tmp_path: Path) -> None:
    ingest(config(listing, tmp_path / "corpus", processes=2, concurrency=3, keep_parts=True))
    assert digests(tmp_path / "corpus") == built.digests
    assert (tmp_path / "corpus" / "parts" / "dealt.json").exists()


KILLS = [
    "before:parts/00000[1-3]/rows",
    "half:parts/dealt.json",
    "after:parts/dealt.json",
    "half:parts/000002/[^/]*parquet",
    "before:parts/000004/done.json",
    "after:parts/000005/done.json",
    "half:parts/selection/000001",
    "after:parts/selection/done.json",
    "half:shards/000002.tar",
    "before:parts/packed/000001",
    "after:shards/holdout-000000.npy",
    "before:manifests/shards",
    "after:views/.*000001.labels.npy",
    "half:corpus.json",
]


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    built: Built, listing: str, tmp_path: Path, runs: ForkedRuns
) -> None:
    output = tmp_path / "corpus"

    def run(kill: str) -> Ended:
        return run_deadly(runs, tmp_path, config(listing, output, spool=str(tmp_path / "spool")), kill)

    for kill in KILLS:
        done = run(kill)
        assert done.returncode == -signal.SIGKILL, (kill, done.stderr)
        with pytest.raises(CorpusError, match="no corpus here"):
            Corpus.open(str(output))
    killed_late = run("after:corpus.json")
    assert killed_late.returncode == -signal.SIGKILL, killed_late.stderr
    lint_view(Corpus.open(str(output)), "default")
    assert (output / "parts").exists()
    done = run("never:")
    assert (done.returncode, done.stdout.strip()) == (0, str(built.report.rows)), done.stderr
    assert digests(output) == built.digests
    assert not (output / "parts").exists()


def test_webdataset_reads_every_sample(built: Built) -> None:
    samples = list(webdataset.WebDataset(built.tars(), shardshuffle=False).decode("pil"))
    assert len({sample["__key__"] for sample in samples}) == len(samples) == PICTURES
    for sample in samples:
        assert sample["jpg"].size == (sample["json"]["width"], sample["json"]["height"])


def test_gnu_tar_lists_every_member(built: Built) -> None:
    for tar, entry in zip(built.tars(), built.corpus.entries, strict=True):
        listed = subprocess.run(["tar", "tf", tar], capture_output=True, text=True, check=True).stdout.split()
        assert len(listed) == 2 * entry.samples


def test_dali_reads_every_sample_by_our_index(built: Built) -> None:
    fn = pytest.importorskip("nvidia.dali.fn")
    from nvidia.dali import pipeline_def

    indexes = [tar.removesuffix("tar") + "idx" for tar in built.tars()]

    @pipeline_def(batch_size=PICTURES, num_threads=1, device_id=None)
    def pictures() -> Any:
        jpg, facts = fn.readers.webdataset(paths=built.tars(), index_paths=indexes, ext=["jpg", "json"])
        return fn.decoders.image(jpg, device="cpu"), facts

    pipeline = pictures()
    pipeline.build()
    images, facts = pipeline.run()
    rows = [json.loads(np.array(facts[number]).tobytes()) for number in range(PICTURES)]
    assert len({row["key"] for row in rows}) == PICTURES
    for number, row in enumerate(rows):
        assert np.array(images[number]).shape == (row["height"], row["width"], 3)


def test_the_first_rows_make_a_corpus_and_the_rest_is_added(listing: str, tmp_path: Path) -> None:
    output = tmp_path / "corpus"
    report = ingest(config(listing, output, limit=20, holdout=0))
    assert (report.rows, report.samples) == (20, {"train": 20, "holdout": 0})
    urls = pq.read_table(listing)["url"].to_pylist()
    shards = [pq.read_table(path, columns=["url"]) for path in (output / "shards").glob("*.parquet")]
    assert sorted(pa.concat_tables(shards)["url"].to_pylist()) == sorted(urls[:20])
    added = ingest(config(listing, output, extend=True, holdout=0))
    assert added.rows == len(urls) and added.totals["samples"] == PICTURES


def test_an_output_that_holds_a_corpus_is_refused(built: Built, listing: str) -> None:
    before = digests(built.output)
    with pytest.raises(CorpusError, match="choose another output"):
        ingest(config(listing, built.output))
    closing = Path(built.output, CLOSING_MARKER)
    closing.parent.mkdir()
    closing.write_text('{"config_sha256": "that of another run, which was killed while it cleared up"}')
    with pytest.raises(CorpusError, match="choose another output"):
        ingest(config(listing, built.output))
    assert digests(built.output) == before


def broken(listing: str, folder: Path, kind: str) -> tuple[IngestConfig, str]:
    """A config that cannot work, and what its error must say."""
    output = folder / "corpus"
    if kind == "missing column":
        return config(listing, output, url_column="adress"), "adress"
    if kind == "missing extra column":
        return config(listing, output, extra_columns=("n", "score")), "score"
    if kind == "unwritable output":
        (folder / "file").write_text("")
        return config(listing, folder / "file" / "corpus"), "cannot write here"
    if kind == "unwritable spool":
        (folder / "file").write_text("")
        return config(listing, output, spool=str(folder / "file")), "spool"
    if kind == "no such file":
        return config(str(folder / "nowhere.parquet"), output), "nowhere.parquet"
    path = folder / f"{kind.split()[0]}.parquet"
    if kind == "empty list":
        pq.write_table(pa.table({"url": pa.array([], pa.string()), "tags": pa.array([], pa.list_(pa.string()))}), path)
    else:
        path.write_bytes(b"PAR1 this is not parquet")
    return config(str(path), output, extra_columns=()), path.name if kind != "empty list" else "empty|no rows"


@pytest.mark.parametrize(
    "kind",
    [
        *("missing column", "missing extra column", "unwritable output"),
        *("unwritable spool", "no such file", "empty list", "unreadable file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(listing: str, tmp_path: Path, kind: str) -> None:
    bad, says = broken(listing, tmp_path, kind)
    with pytest.raises(TagmillError, match=says) as raised:
        ingest(bad)
    assert "\n" not in str(raised.value) and raised.value.where and raised.value.remedy
    assert not (tmp_path / "corpus" / "corpus.json").exists()


def test_too_many_failures_stop_the_run_with_their_reasons(listing: str, tmp_path: Path) -> None:
    with pytest.raises(TagmillError, match=r"[34] of 59 rows failed, failure_budget allows 5%") as raised:
        ingest(config(listing, tmp_path / "corpus", failure_budget=0.05))
    assert str(raised.value).count(", ") >= 3
    assert not (tmp_path / "corpus" / "corpus.json").exists()


def test_a_list_of_nothing_but_failures_makes_no_corpus(web: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"url": f"{web}/{i}/gone", "tags": ["a"]}) for i in range(3)))
    with pytest.raises(TagmillError, match="not_found 3"):
        ingest(config(str(path), tmp_path / "corpus", extra_columns=(), holdout=0))
    assert not Store(str(tmp_path / "corpus")).exists("corpus.json")


def test_a_run_through_a_proxy_says_once_what_only_the_proxy_can_see_to(
    listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All hosts of the list are private, so no host is asked."""
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(TagmillError, match="private_address"):
        ingest(config(listing, tmp_path / "corpus", allow_private=False))
    assert [record.getMessage() for record in caplog.records if "proxy" in record.getMessage()] == [PROXY_WARNING]


def test_a_long_list_without_a_contact_is_said_once_and_a_folder_needs_none(
    listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All hosts of the list are private, so no host is asked."""
    monkeypatch.setattr("tagmill.ingest.config.fetch.ROWS_UNNAMED", 0)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "1.jpg").write_bytes(picture(1))
    ingest(config(str(pictures), tmp_path / "stored", allow_private=False, extra_columns=(), holdout=0))
    assert NO_CONTACT not in caplog.messages
    with pytest.raises(TagmillError, match="private_address"):
        ingest(config(listing, tmp_path / "corpus", allow_private=False))
    assert caplog.messages.count(NO_CONTACT) == 1


def test_another_image_stack_does_not_go_on_with_a_run(
    listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(str(tmp_path / "corpus")).put(STACK_PIN, b'{"code_version": "0", "image_stack": {"pil": "old"}}')
    with pytest.raises(TagmillError, match=r"pil old then and none now.*remove the output"):
        ingest(config(listing, tmp_path / "corpus"))
