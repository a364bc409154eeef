"""A corpus that is extended: what it has then, what does not change, which hosts are asked, and what happens after a kill."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tagmill.ingest import ingest
from tagmill.ingest import run as runs
from tagmill.ingest.extend import base_corpus
from tagmill.ingest.extend.generation import Generation
from tagmill.ingest.filters.takedown_rules import url_digest
from tagmill.ingest.http.usage_signals import TDMREP_PATH
from tagmill.ingest.images.prepare import image_stack
from tagmill.ingest.labels.synsets import is_synset
from tagmill.ingest.layout import CLOSING_MARKER, SELECTION_MARKER
from tagmill.ingest.parts import known_urls
from tagmill.ingest.sources.inputs import ROW_BITS
from tagmill.ingest.takedown.takedown_command import TakedownConfig, take_down
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.pipeline import Loader, LoaderConfig
from tagmill.shards.errors import ConfigError, CorpusError, StoreError, TagmillError
from tagmill.shards.input_table import num_inputs, read_inputs
from tagmill.shards.lint import lint_inputs
from tagmill.shards.manifest import Corpus, commit
from tagmill.shards.purge import record
from tagmill.shards.storage.store import Store
from tagmill.shards.takedown import SAMPLE, Row
from tagmill.shards.view import View
from tests.ingest.deadly import run_deadly
from tests.ingest.forked import Ended, ForkedRuns
from tests.ingest.growing import CountingWeb, check, counting_web, digests, label_names, rows_of, settings, write
from tests.shards.countedstore import counted_store


@pytest.fixture(scope="module")
def web() -> Iterator[CountingWeb]:
    with counting_web() as found:
        yield found


@pytest.fixture(scope="module")
def made(web: CountingWeb, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the corpus of list a, and the three lists."""
    folder = tmp_path_factory.mktemp("made")
    for which in "abc":
        write(folder, web.url, which)
    ingest(settings(str(folder / "a.parquet"), folder / "corpus"))
    return folder


@pytest.fixture(scope="module")
def grown(made: Path) -> Path:
    """The same corpus, to which list b was added."""
    output = made / "grown"
    shutil.copytree(made / "corpus", output)
    ingest(settings(str(made / "b.parquet"), output, extend=True))
    return output


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    """A copy of the corpus of list a, to be extended."""
    return Path(shutil.copytree(made / "corpus", tmp_path / "corpus"))


def test_a_corpus_that_lists_its_inputs_itself_is_extended(made: Path, output: Path) -> None:
    """As earlier versions wrote `corpus.json`: file numbers go on after the list, which stays, and the new run has a table."""
    corpus = Corpus.open(str(output))
    (line,) = corpus.file.lineage
    listed = [{"name": each, "bytes": 9, "rows": 3, "sha256": "0" * 64} for each in "abc"]
    (output / line["input_table"]["path"]).unlink()
    old = {name: value for name, value in line.items() if name != "input_table"} | {"inputs": listed}
    commit(corpus.store, replace(corpus.file, lineage=[old]), corpus.file)
    ingest(settings(str(made / "b.parquet"), output, extend=True))
    corpus = Corpus.open(str(output))
    assert corpus.file.lineage[0] == old and num_inputs(corpus.file.lineage[1]) == 1
    (new,) = read_inputs(corpus, 1).to_pylist()
    assert new["name"] == str(made / "b.parquet") and new["rows"] == corpus.file.lineage[1]["rows"]
    assert [each["name"] for each in read_inputs(corpus, 0).to_pylist()] == list("abc")
    rejects = [pq.read_table(path)["row_id"].to_pylist() for path in (output / "rejects").glob("extend-*")]
    assert {row >> ROW_BITS for rows in rejects for row in rows} == {3}
    lint_inputs(corpus)


def test_what_is_there_stays_and_is_not_asked_for(web: CountingWeb, made: Path, output: Path) -> None:
    files = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in output.rglob("*") if path.is_file()}
    old = Corpus.open(str(output))
    lists = [rows_of(web.url, which) for which in "abc"]
    for number, (which, pictures) in enumerate([("b", 34), ("c", 40)], 1):
        web.asked.clear()
        report = ingest(settings(str(made / f"{which}.parquet"), output, extend=True, processes=number))
        corpus = Corpus.open(str(output))
        check(corpus, lists[: number + 1], range(pictures))
        there = {url for each in lists[:number] for url, _ in each if url and not url.endswith("gone")}
        assert web.asked["/robots.txt"] == 1
        asked = {f"{web.url}{path}" for path in web.asked if path not in ("/robots.txt", TDMREP_PATH)}
        new = {str(url).partition("#")[0] for url, _ in lists[number]} - {url.partition("#")[0] for url in there}
        assert asked == new and set(web.asked.values()) == {1}
        assert report.totals == corpus.file.totals and report.rows == len(lists[number])
        assert report.rows == sum(report.samples.values()) + sum(report.rejects.values())
    replaced = {output / name for name in ("corpus.json", "report.json", "croissant.json", "README.md")}
    for path, content in files.items():
        assert path in replaced or (path.stat().st_mtime_ns, path.read_bytes()) == content, path
    assert not (output / "parts").exists()
    splits = [entry.split for entry in corpus.entries]
    assert splits == sorted(splits, reverse=True) and corpus.file.totals["holdout"] == 9
    for split in ("train", "holdout"):
        names = [entry.name for entry in corpus.entries if entry.split == split]
        assert names == [f"{'holdout-' if split == 'holdout' else ''}{number:06d}" for number in range(len(names))]
    assert [entry for entry in corpus.entries if entry in old.entries] == old.entries
    assert [run["rows"] for run in corpus.file.lineage] == [len(rows) for rows in lists]
    # Who opened the old generation reads it still.
    assert View.open(old, "default").labels(0, 0, old.entries[0].samples).shape[0] == old.entries[0].samples
    for number, entry in enumerate(old.entries):
        assert View.open(old, "default").labels(number, 0, entry.samples).shape[0] == entry.samples


def test_labels_keep_their_ids_unless_they_are_recounted(made: Path, grown: Path, output: Path) -> None:
    before, after = label_names(Corpus.open(str(made / "corpus"))), label_names(Corpus.open(str(grown)))
    assert after[: len(before)] == before and len(after) > len(before)
    ingest(settings(str(made / "b.parquet"), output, extend=True, recount=True))
    recounted = View.open(Corpus.open(str(output)), "default").vocabulary.labels
    assert [(-label.images, label.synsets) for label in recounted] == sorted(
        (-label.images, label.synsets) for label in recounted
    )
    assert len(recounted) == len(after) and [label.name for label in recounted] != after
    grown_labels = View.open(Corpus.open(str(grown)), "default").vocabulary.labels
    assert {label.synsets for label in recounted} == {label.synsets for label in grown_labels}
    assert not any(is_synset(name) for name in after) and len(set(after)) == len(after)
    assert "after" not in View.open(Corpus.open(str(output)), "default").file.recipe["vocabulary"]


def test_processes_change_no_byte(made: Path, grown: Path, output: Path) -> None:
    ingest(settings(str(made / "b.parquet"), output, extend=True, processes=3, concurrency=5))
    assert digests(output) == digests(grown)


# TAGMILL_WHOLE=1 adds kills at what an extension writes as any run, of which tests/ingest/test_run.py has one each.
WHOLE = bool(os.environ.get("TAGMILL_WHOLE"))
KILLS = [
    "after:parts/extend.json",
    *(["half:parts/dealt.json"] if WHOLE else []),
    "before:parts/known.json",
    *(["after:parts/000002/done.json"] if WHOLE else []),
    "half:shards/000005.tar",
    "after:rejects/extend-000001-000000",
    "after:views/default/.*/000007.labels.npy",
    "after:parts/closing.json",
    "half:corpus.json",
]


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    web: CountingWeb, made: Path, grown: Path, output: Path, tmp_path: Path, runs: ForkedRuns
) -> None:
    mine = settings(str(made / "b.parquet"), output, extend=True, spool=str(tmp_path / "spool"))

    def run(kill: str) -> Ended:
        return run_deadly(runs, tmp_path, mine, kill)

    before = (output / "corpus.json").read_bytes()
    for kill in KILLS:
        done = run(kill)
        assert done.returncode == -signal.SIGKILL, (kill, done.stderr)
        assert (output / "corpus.json").read_bytes() == before
    killed_late = run("after:corpus.json")
    assert killed_late.returncode == -signal.SIGKILL, killed_late.stderr
    check(Corpus.open(str(output)), [rows_of(web.url, which) for which in "ab"], range(34))
    assert (output / "parts").exists()
    done = run("never:")
    assert (done.returncode, done.stdout.strip()) == (0, "27"), done.stderr
    assert digests(output) == digests(grown)
    assert json.loads((output / "report.json").read_text())["rows"] == 27 and not (output / "parts").exists()


def test_a_list_of_nothing_new_brings_its_tags(web: CountingWeb, made: Path, output: Path) -> None:
    web.asked.clear()
    report = ingest(settings(str(made / "a.parquet"), output, extend=True, failure_budget=0.1))
    assert set(web.asked) == {"/gone", "/robots.txt", TDMREP_PATH}  # what failed is tried again
    assert report.samples == {"train": 0, "holdout": 0} and report.shards == 0
    lists = [rows_of(web.url, "a")] * 2
    check(Corpus.open(str(output)), lists, range(20))


TRAINER = LoaderConfig(batch_size=4, size=16, backend="cpu", epochs=2, streams=2, chunk=2, window=1, seed=3, threads=1)


def test_a_trainer_goes_on_undisturbed(made: Path, output: Path) -> None:
    with Loader(str(made / "corpus"), TRAINER) as undisturbed:
        whole = [batch.keys.tobytes() for _ in range(2) for batch in undisturbed]
    loader = Loader(str(output), TRAINER)
    batches = iter(loader)
    seen = [next(batches).keys.tobytes() for _ in range(2)]
    state = loader.state_dict()
    ingest(settings(str(made / "b.parquet"), output, extend=True))
    seen += [batch.keys.tobytes() for batch in batches] + [batch.keys.tobytes() for batch in loader]
    assert seen == whole and len(whole) > 4
    with pytest.raises(TagmillError, match="manifest"):
        Loader(str(output), TRAINER).load_state_dict(state)


def test_two_lists_at_once_do_not_mix(
    web: CountingWeb, made: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(runs, "select", lambda *args, **named: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ingest(settings(str(made / "b.parquet"), output, extend=True))
    with pytest.raises(ConfigError, match="another list is being added"):
        ingest(settings(str(made / "c.parquet"), output, extend=True))
    with pytest.raises(CorpusError, match="corpus here already"):
        ingest(settings(str(made / "c.parquet"), output))
    shutil.rmtree(output / "parts")  # the first is given up
    Store(str(output)).put("shards/000005.tar", b"what it left")
    Store(str(output)).put("rejects/extend-000001-000007.parquet", b"what it left")
    ingest(settings(str(made / "c.parquet"), output, extend=True))
    check(Corpus.open(str(output)), [rows_of(web.url, "a"), rows_of(web.url, "c")], [*range(20), *range(30, 40)])


def test_another_run_that_was_committed_meanwhile_is_not_overwritten(
    made: Path, grown: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Generation.commit

    def overtaken(self: Generation, *args: object) -> None:
        theirs = Corpus.open(str(grown))
        Store(str(output)).put(theirs.file.manifest.path, theirs.store.read(theirs.file.manifest.path))
        commit(Store(str(output)), replace(theirs.file, views={}))
        commits(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Generation, "commit", overtaken)
    with pytest.raises(CorpusError, match="another run has extended"):
        ingest(settings(str(made / "c.parquet"), output, extend=True))
    assert Corpus.open(str(output)).file.manifest == Corpus.open(str(grown)).file.manifest


def test_views_and_takedowns_that_come_between_are_kept(
    web: CountingWeb, made: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are committed after the run has made its generation, and before it commits it."""
    commits = Generation.commit
    forbidden = f"{web.url}/picture/25"  # which the run has taken in

    def overtaken(self: Generation, *args: object) -> None:
        view(ViewConfig(corpus=str(output), name="cats", top_k=1, processes=1))
        record(Corpus.open(str(output)), [Row(kind="url", value=url_digest(forbidden), at="2026-01-01")])
        commits(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Generation, "commit", overtaken)
    ingest(settings(str(made / "b.parquet"), output, extend=True))
    corpus = Corpus.open(str(output))
    check(corpus, [rows_of(web.url, "a"), rows_of(web.url, "b")], range(34))
    assert sorted(corpus.file.views) == ["cats", "default"] and len(View.open(corpus, "cats").vocabulary) == 1
    ((shard, ordinals),) = corpus.takedown.shards.items()
    table = Store(str(output)).within("shards")
    assert len(ordinals) == 1 and table.exists(f"{shard}.parquet")
    (row,) = corpus.takedown.rows([SAMPLE])
    assert row["by"] == "url" and shard not in {entry.name for entry in Corpus.open(str(made / "corpus")).entries}
    assert View.open(corpus, "default").file.totals["selected"] < View.open(corpus, "default").file.totals["samples"]


def test_what_was_taken_down_does_not_come_back(web: CountingWeb, made: Path, output: Path) -> None:
    for name, lines in (("urls", f"{web.url}/picture/3\n"), ("hosts", "example.org\n")):
        (output.parent / name).write_text(lines)
    files = {name: str(output.parent / name) for name in ("urls", "hosts")}
    take_down(TakedownConfig(corpus=str(output), **files, purge=True), datetime.now(UTC))
    web.asked.clear()
    report = ingest(settings(str(made / "b.parquet"), output, extend=True))
    assert report.rejects["taken_down"] == 1 and web.asked["/copy1/3"] == 1  # other URL, same picture: found by its key
    again = ingest(settings(str(made / "a.parquet"), output, extend=True))
    assert again.rejects["taken_down"] == 1 and "/picture/3" not in web.asked  # found by its URL
    for entry in Corpus.open(str(output)).entries:
        assert entry.samples


def refusal(made: Path, output: Path, kind: str) -> tuple[Callable[[], object], str]:
    """A run that must be refused, and what its error must say."""
    b = str(made / "b.parquet")
    if kind == "no corpus":
        return lambda: ingest(settings(b, output / "none", extend=True)), "without --extend"
    if kind == "seed":
        return lambda: ingest(settings(b, output, extend=True, seed=1)), "seed 0 there and 1 here"
    if kind == "policy":
        return lambda: ingest(settings(b, output, extend=True, image_size=40)), "image_size 32 there and 40 here"
    if kind == "stack":
        corpus = Corpus.open(str(output))
        commit(corpus.store, replace(corpus.file, image_stack={"pillow": "0"}))
        return lambda: ingest(settings(b, output, extend=True)), "--mixed-stack"
    if kind == "kept parts":
        Store(str(output)).put("parts/000000/done.json", b"{}")
        return lambda: ingest(settings(b, output, extend=True)), "parts of an earlier run"
    if kind == "flags of labels":
        return lambda: ingest(settings(b, output, extend=True, min_count=2)), "min_count 1 and keeps it"
    if kind == "no such view":
        return lambda: ingest(settings(b, output, extend=True, drop_views=("mine",))), "no view 'mine'"
    return lambda: settings(b, output, recount=True), "add --extend"


@pytest.mark.parametrize(
    "kind",
    ["no corpus", "seed", "policy", "stack", "kept parts", "flags of labels", "no such view", "recount alone"],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(made: Path, output: Path, kind: str) -> None:
    run, says = refusal(made, output, kind)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    with pytest.raises(TagmillError, match=says) as raised:
        run()
    assert raised.value.remedy and "\n" not in str(raised.value)
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_another_image_stack_is_recorded(made: Path, output: Path) -> None:
    corpus = Corpus.open(str(output))
    commit(corpus.store, replace(corpus.file, image_stack={"pillow": "0"}))
    ingest(settings(str(made / "b.parquet"), output, extend=True, mixed_stack=True))
    first, second = Corpus.open(str(output)).file.lineage
    assert "image_stacks" not in first and second["image_stacks"][0]["image_stack"] == image_stack(markers=True)
    assert Corpus.open(str(output)).file.image_stack == {"pillow": "0"}


def test_kept_parts_tell_that_the_run_is_done(web: CountingWeb, made: Path, output: Path) -> None:
    mine = settings(str(made / "b.parquet"), output, extend=True, keep_parts=True)
    report = ingest(mine)
    web.asked.clear()
    assert ingest(mine) == report and not web.asked and len(Corpus.open(str(output)).file.lineage) == 2
    assert Store(str(output)).exists(base_corpus.EXTEND_PIN) and Store(str(output)).exists(known_urls.KNOWN_MARKER)
    assert Store(str(output)).exists(SELECTION_MARKER)


def test_a_corpus_on_s3(web: CountingWeb, made: Path, grown: Path, s3_bucket: str) -> None:
    output = f"{s3_bucket}/corpus"
    ingest(settings(str(made / "a.parquet"), output))
    ingest(settings(str(made / "b.parquet"), output, extend=True))
    assert digests(output) == digests(grown)
    check(Corpus.open(output), [rows_of(web.url, "a"), rows_of(web.url, "b")], range(34))


def test_parts_are_cleared_by_bulk_deletions_in_flight_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 parts of three objects; the closing marker goes last, so that a killed run goes on."""
    driver, store = counted_store(monkeypatch), Store("s3://corpus")
    kinds = ("rows.parquet", "try.parquet", "done.json")
    driver.objects = {f"parts/{part:06d}/{kind}": b"x" for part in range(10_000) for kind in kinds}
    driver.objects |= {"corpus.json": b"x", "shards/000000.tar": b"x"}
    base_corpus.clear(store)
    assert len(driver.objects) == 30_002  # without the marker nothing is deleted
    driver.objects[CLOSING_MARKER] = b"{}"
    driver.counts.clear()
    driver.together, driver.gated = 4, "delete_many "
    base_corpus.clear(store)
    assert driver.objects.keys() == {"corpus.json", "shards/000000.tar"}
    bulk = driver.counts["delete_many"]
    assert 300 <= bulk <= 301 and driver.counts.total() <= bulk + 31 + 4
    driver.objects |= {CLOSING_MARKER: b"{}", "parts/000001/done.json": b"x", "parts/000002/done.json": b"x"}
    driver.fail = {"parts/000001/done.json"}
    with pytest.raises(StoreError):
        base_corpus.clear(store)
    assert CLOSING_MARKER in driver.objects
