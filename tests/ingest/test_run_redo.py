"""A flag that changes after a kill costs no more than the stages from the one that it touches: bytes and file list are a fresh
run's, also after kills."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest import IngestConfig, commit, ingest
from tagmill.ingest import run as stages
from tagmill.ingest.extend.generation import Generation
from tagmill.ingest.layout import CLOSING_MARKER, PARTITION_MARKER, PARTS_LAYOUT, STACK_PIN, done_file
from tagmill.ingest.pack import shard_plan
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store
from tests.ingest.deadly import run_deadly
from tests.ingest.forked import ForkedRuns
from tests.ingest.growing import CountingWeb, check, counting_web, rows_of, settings, write
from tests.ingest.smallweb import picture

PICTURES_A = 20
WHOLE = bool(os.environ.get("TAGMILL_WHOLE"))  # whether each kill is tried in each way that a run can go on


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


def config(lists: Path, output: Path, **changes: Any) -> IngestConfig:
    return settings(str(lists / "a.parquet"), output, **changes)


class Killed(BaseException):
    """As if the process were gone."""


def everything(output: Path) -> dict[str, bytes]:
    """Every file of a corpus, but for the two that say when and how long."""
    store = Store(str(output))
    timed = ("ledger/", "report.json", "parts/")
    return {name: b"" if name.startswith(timed) else store.read(name) for name in store.names("")}


def killed_at_the_end(monkeypatch: pytest.MonkeyPatch, wanted: IngestConfig) -> None:
    """All is made, and the run is gone before its commit."""
    with monkeypatch.context() as patch:

        def gone(*of: object) -> None:
            raise Killed

        patch.setattr(commit, "commit", gone)
        patch.setattr(Generation, "commit", gone)
        with pytest.raises(Killed):
            ingest(wanted)


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


@pytest.fixture(scope="module")
def fetched(lists: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed when it had all images, and nothing else: what fresh runs begin with."""
    output = tmp_path_factory.mktemp("fetched") / "corpus"
    with pytest.MonkeyPatch.context() as patch:

        def gone(*of: object, **named: object) -> None:
            raise Killed

        patch.setattr(stages, "select", gone)
        with pytest.raises(Killed):
            ingest(config(lists, output))
    return output


@pytest.fixture(scope="module")
def begun(lists: Path, fetched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed before its commit."""
    output = copied(fetched, tmp_path_factory.mktemp("begun") / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        killed_at_the_end(patch, config(lists, output, top_k=3))
    return output


@pytest.fixture(scope="module")
def made(lists: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of the first list, that is to be copied."""
    output = tmp_path_factory.mktemp("made") / "corpus"
    ingest(config(lists, output))
    return output


@pytest.fixture(scope="module")
def begun_extension(lists: Path, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That corpus, with a run that adds the other list and was killed before its commit."""
    output = copied(made, tmp_path_factory.mktemp("extension") / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        killed_at_the_end(patch, settings(str(lists / "b.parquet"), output, extend=True))
    return output


def test_what_fresh_runs_begin_with_ends_as_a_run_of_one_piece(
    web: CountingWeb, lists: Path, fetched: Path, made: Path, tmp_path: Path
) -> None:
    output = copied(fetched, tmp_path / "corpus")
    web.asked.clear()
    ingest(config(lists, output))
    assert not web.asked and everything(output) == everything(made)


# Of each stage other flags than the first run's, and the stages that they cost.
CHANGES: dict[str, dict[str, Any]] = {
    "select": {"holdout": 7},
    "select, by other groups": {"parts_per_group": 1},
    "pack": {"shard_samples": 9},
    "pack, into more shards": {"shard_samples": 2},
    "label": {"top_k": 1},
    "label, by its name": {"name": "another"},
}


@pytest.mark.parametrize("stage", CHANGES)
def test_a_changed_flag_costs_the_stages_from_its_own(
    web: CountingWeb, lists: Path, fetched: Path, begun: Path, tmp_path: Path, stage: str
) -> None:
    output, fresh = copied(begun, tmp_path / "corpus"), copied(fetched, tmp_path / "fresh")
    tars = {path: path.stat().st_mtime_ns for path in (output / "shards").iterdir()}
    changed = {"top_k": 3, **CHANGES[stage]}
    web.asked.clear()
    ingest(config(lists, output, **changed))
    assert not web.asked
    if stage.startswith("label"):
        assert {path: path.stat().st_mtime_ns for path in (output / "shards").iterdir()} == tars
    ingest(config(lists, fresh, **changed))
    assert everything(output) == everything(fresh)
    check(Corpus.open(str(output)), [rows_of(web.url, "a")], range(PICTURES_A))


def test_a_changed_flag_of_fetching_is_refused_with_both_values(lists: Path, begun: Path, tmp_path: Path) -> None:
    output = copied(begun, tmp_path / "corpus")
    before = everything(output)
    with pytest.raises(ConfigError, match="image_size 32 then and 40 now; quality 90 then and 80 now"):
        ingest(config(lists, output, top_k=3, image_size=40, quality=80))
    assert everything(output) == before


def test_a_flag_of_fetching_may_change_before_rows_are_partitioned(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of the first run are deleted: there are fewer partitions now."""
    output, put = tmp_path / "corpus", Store.put
    with monkeypatch.context() as patch:

        def deadly(self: Store, name: str, *of: Any, **how: Any) -> None:
            if name == PARTITION_MARKER:
                raise Killed
            put(self, name, *of, **how)

        patch.setattr(Store, "put", deadly)
        with pytest.raises(Killed):
            ingest(config(lists, output, rows_per_part=2, keep_parts=True))
    for place in (output, tmp_path / "fresh"):
        ingest(config(lists, place, rows_per_part=20, keep_parts=True))
    row_files = [
        [name for name in everything(place) if name.endswith("rows.parquet")] for place in (output, tmp_path / "fresh")
    ]
    assert row_files[0] == row_files[1] and len(row_files[0]) == 2


def killed_at(wanted: IngestConfig, step: str) -> None:
    """Runs it, and kills it before the first change of that kind that this process makes to its store. What worker
    processes do is killed elsewhere."""

    def deadly(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Store, name: str, *of: Any, **how: Any) -> Any:
            if step in f"{method.__name__} {name}":
                raise Killed
            return method(self, name, *of, **how)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("put", "put_new", "delete"):
            patch.setattr(Store, name, deadly(getattr(Store, name)))
        with pytest.raises(Killed):
            ingest(wanted)


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_a_redo_that_is_killed_at_each_step_ends_with_the_same_files(
    lists: Path, fetched: Path, begun: Path, tmp_path: Path
) -> None:
    """Each time at the next step, of a redo of all later stages with other flags than the last; it ends with the first
    flags, and with the last. With TAGMILL_WHOLE=1 each kill is of a redo of its own, which ends so."""
    first, last = {"top_k": 3}, {"holdout": 7, "shard_samples": 3, "top_k": 2}
    between = {"holdout": 5, "shard_samples": 5, "top_k": 1}
    wanted = []
    for number, (flags, place) in enumerate([(first, begun), (last, fetched)]):
        output = copied(place, tmp_path / f"wanted-{number}")
        ingest(config(lists, output, **flags))
        wanted.append(everything(output))
    output = copied(begun, tmp_path / "corpus")
    for number, step in enumerate(STEPS, start=1):
        if WHOLE:
            output = copied(begun, tmp_path / f"corpus-{number}")
        killed_at(config(lists, output, **(last if WHOLE or number % 2 else between)), step)
        assert not (output / "corpus.json").exists(), step
        if WHOLE or number == len(STEPS):
            again = copied(output, tmp_path / f"again-{number}")
            for place, flags, files in zip((again, output), (first, last), wanted, strict=True):
                ingest(config(lists, place, **flags))
                assert everything(place) == files, step


STEPS = [
    "delete parts/selection/000000",
    "delete decontamination",
    "put parts/selection/done.json",
    "delete parts/packing",
    "delete parts/packed",
    "delete shards/000001.tar",
    "delete rejects",
    "put parts/packing",
    "delete views",
    "delete parts/labelling",
    "put parts/labelling",
    "put report.json",
]

# Of a redo in which shards, rejects and labels are written by worker processes.
KILLS = [
    "after:parts/selection/000001",
    "half:shards/000002.tar",
    "after:shards/000004.npy",
    "before:rejects/000001",
    "after:ledger/000000",
    "before:parts/packed/000001",
    "after:parts/packed/holdout",
    "after:views/.*000001.labels.npy",
    "before:manifests/shards",
    "after:parts/closing.json",
]


@pytest.mark.timeout(900)
@pytest.mark.slow
@pytest.mark.parametrize("extend", [False, True], ids=["made", "extended"])
def test_a_redo_whose_workers_are_killed_ends_with_the_same_files(
    lists: Path,
    fetched: Path,
    begun: Path,
    made: Path,
    begun_extension: Path,
    tmp_path: Path,
    extend: bool,
    runs: ForkedRuns,
) -> None:
    """The flags are others after every kill. Every second kill is one of an extension; with TAGMILL_WHOLE=1 all are of both."""
    output = copied(begun_extension if extend else begun, tmp_path / "corpus")
    fresh = copied(made if extend else fetched, tmp_path / "fresh")
    listing, more = (
        str(lists / f"{'b' if extend else 'a'}.parquet"),
        {"extend": extend, "spool": str(tmp_path / "spool")},
    )
    for number, kill in enumerate(KILLS if WHOLE else KILLS[extend::2]):
        kill = kill.replace("/00000", "/(extend-000001-)?00000").replace("/holdout", "/(extend-000001-)?holdout")
        if extend:  # its shards have other numbers
            kill = kill.replace("shards/(extend-000001-)?00000", "shards/00000").replace("000002.tar", "000006.tar")
            kill = kill.replace("000004.npy", "000007.npy")
        changed = {"holdout": 2 + number % 3, "shard_samples": 2 + number % 2, "parts_per_group": 1 + number % 2}
        done = run_deadly(runs, tmp_path, settings(listing, output, **changed, **more), kill)
        assert done.returncode == -signal.SIGKILL, (kill, done.stderr)
    last = {"holdout": 4, "shard_samples": 3, "parts_per_group": 2}
    for place in (output, fresh):
        ingest(settings(listing, place, **last, **more))
    assert everything(output) == everything(fresh)


@pytest.mark.parametrize(
    "changed", [{"holdout": 5}, {"shard_samples": 2}, {"recount": True}], ids=["select", "pack", "label"]
)
def test_a_list_that_is_added_is_done_again_from_the_stage_that_changed(
    web: CountingWeb, lists: Path, made: Path, begun_extension: Path, tmp_path: Path, changed: dict[str, Any]
) -> None:
    output, fresh = copied(begun_extension, tmp_path / "corpus"), copied(made, tmp_path / "fresh")
    listing = str(lists / "b.parquet")
    with pytest.raises(ConfigError, match="another list is being added here: max_redirects 5 then and 4 now"):
        ingest(settings(listing, output, extend=True, max_redirects=4))
    web.asked.clear()
    ingest(settings(listing, output, extend=True, **changed))
    assert not web.asked
    ingest(settings(listing, fresh, extend=True, **changed))
    assert everything(output) == everything(fresh)
    check(Corpus.open(str(output)), [rows_of(web.url, "a"), rows_of(web.url, "b")], range(34))


def test_a_list_that_adds_nothing_takes_no_manifest_with_it_when_it_is_done_again(
    web: CountingWeb, lists: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest is the one that the corpus names already."""
    output, listing = copied(made, tmp_path / "corpus"), str(lists / "a.parquet")
    killed_at_the_end(monkeypatch, settings(listing, output, extend=True, failure_budget=1.0))
    ingest(settings(listing, output, extend=True, failure_budget=1.0, recount=True))
    check(Corpus.open(str(output)), [rows_of(web.url, "a")] * 2, range(PICTURES_A))


def test_parts_stay_if_the_run_that_ends_wants_them(lists: Path, begun: Path, tmp_path: Path) -> None:
    """The one that was killed would have removed them, and had said so."""
    output = copied(begun, tmp_path / "corpus")
    assert (output / CLOSING_MARKER).exists()
    ingest(config(lists, output, top_k=3, keep_parts=True))
    assert (output / PARTITION_MARKER).exists() and not (output / CLOSING_MARKER).exists()


def test_a_holdout_of_the_whole_list_is_refused_before_the_fetch(web: CountingWeb, lists: Path, tmp_path: Path) -> None:
    web.asked.clear()
    rows = len(rows_of(web.url, "a"))
    with pytest.raises(ConfigError, match=f"holdout 1000 takes all of {rows} rows"):
        ingest(config(lists, tmp_path / "corpus", holdout=1000))
    assert not web.asked
    assert ingest(config(lists, tmp_path / "corpus", holdout=4)).samples == {"train": 16, "holdout": 4}


def test_a_holdout_of_all_pictures_costs_nothing_but_the_selection(
    web: CountingWeb, lists: Path, fetched: Path, tmp_path: Path
) -> None:
    output = copied(fetched, tmp_path / "corpus")
    web.asked.clear()
    with pytest.raises(ConfigError, match="holdout 21 takes all 20 images"):
        ingest(config(lists, output, holdout=21))
    assert ingest(config(lists, output, holdout=4)).samples == {"train": 16, "holdout": 4}
    assert not web.asked


def test_too_many_shards_are_warned_of_before_the_fetch_and_refused_when_packed(
    web: CountingWeb,
    lists: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(shard_plan, "MOST_SHARDS", 10)
    with pytest.raises(ConfigError, match=r"17 shards, 10 is the limit.*nothing is fetched again"):
        ingest(config(lists, tmp_path / "corpus", shard_samples=1))
    (warned,) = [record.getMessage() for record in caplog.records if "packing fails above" in record.getMessage()]
    assert "there may be 23 shards" in warned
    web.asked.clear()
    assert ingest(config(lists, tmp_path / "corpus", shard_samples=4)).shards <= 10
    assert not web.asked


def test_evaluation_sets_may_change_until_the_run_ends(
    web: CountingWeb, lists: Path, fetched: Path, begun: Path, tmp_path: Path
) -> None:
    """And what was found by the ones of before is gone with them."""
    output, hashes = copied(begun, tmp_path / "corpus"), tmp_path / "hashes.csv"
    fresh = copied(fetched, tmp_path / "fresh")
    web.asked.clear()
    for number in (3, 4):
        hashes.write_text(f"sha256\n{hashlib.sha256(picture(number)).hexdigest()}\n")
        wanted = {"top_k": 3, "evaluation_set": (f"val={hashes}",)}
        with pytest.MonkeyPatch.context() as patch:
            killed_at_the_end(patch, config(lists, output, **wanted))
    again = copied(output, tmp_path / "again")
    ingest(config(lists, output, **wanted))
    ingest(config(lists, again, top_k=3))
    ingest(config(lists, fresh, **wanted))
    assert not web.asked
    assert everything(output) == everything(fresh) and (output / "decontamination.parquet").exists()
    assert not (again / "decontamination.parquet").exists() and "evaluation_sha256" not in lineage(again)


def lineage(output: Path) -> dict[str, Any]:
    return Corpus.open(str(output)).file.lineage[-1]


OLD_STACK = {"code_version": "0.0", "image_stack": {"pillow": "of before", "restart_markers": "of before"}}


def test_another_stack_goes_on_as_soon_as_all_pictures_are_made(
    web: CountingWeb, lists: Path, begun: Path, tmp_path: Path
) -> None:
    """The corpus says who made them. One part less, and the run is refused."""
    output = copied(begun, tmp_path / "corpus")
    Store(str(output)).put(STACK_PIN, json.dumps(OLD_STACK).encode())
    less = copied(output, tmp_path / "less")
    (less / done_file(1)).unlink()
    with pytest.raises(ConfigError, match="pillow of before then and"):
        ingest(config(lists, less, top_k=3))
    web.asked.clear()
    report = ingest(config(lists, output, top_k=3))
    assert not web.asked
    file = Corpus.open(str(output)).file
    assert file.image_stack == report.image_stack == OLD_STACK["image_stack"] and "image_stacks" not in file.lineage[0]


def test_a_list_whose_pictures_are_made_is_added_under_another_stack(
    lists: Path, begun_extension: Path, tmp_path: Path
) -> None:
    """Which is said in the corpus: its own pictures are of another one than those that came in."""
    output = copied(begun_extension, tmp_path / "corpus")
    wanted = settings(str(lists / "b.parquet"), output, extend=True)
    Store(str(output)).put(STACK_PIN, json.dumps(OLD_STACK).encode())
    ingest(wanted)
    assert lineage(output)["image_stacks"] == [OLD_STACK]


def of_layout(output: Path, number: int | None) -> Path:
    """Makes the marker of a run one of another version; None: of those before layouts had numbers."""
    marker = json.loads((output / PARTITION_MARKER).read_text())
    assert marker["layout"] == PARTS_LAYOUT == 2
    marker |= {"layout": number}
    if number is None:
        del marker["layout"]
    (output / PARTITION_MARKER).write_text(json.dumps(marker))
    return output


@pytest.mark.parametrize("number", [None, 1, 3])
def test_a_run_of_another_version_is_refused_with_the_way_out(
    lists: Path, begun: Path, tmp_path: Path, number: int | None
) -> None:
    """Also where other flags or rules are given: they cannot matter any more. Nothing is written."""
    output = of_layout(copied(begun, tmp_path / "corpus"), number)
    before = everything(output)
    (tmp_path / "takedown.txt").write_text("host elsewhere.example\n")
    rules = {"takedown": (str(tmp_path / "takedown.txt"),)}
    for changed in ({}, {"image_size": 40}, rules):
        with pytest.raises(ConfigError) as raised:
            ingest(config(lists, output, **{"top_k": 3, **changed}))
        found = f"begun by another version of tagmill: parts/ has layout {number or 1} there, and 2 here"
        wanted = f"{found} ({output}): finish it with the version that began it, or remove the output and start over"
        assert "\n" not in str(raised.value) and str(raised.value) == wanted
    assert everything(output) == before


def test_an_extension_of_another_version_is_refused_and_the_corpus_untouched(
    lists: Path, made: Path, begun_extension: Path, tmp_path: Path
) -> None:
    output = copied(begun_extension, tmp_path / "corpus")
    before, wanted = everything(made), settings(str(lists / "b.parquet"), output, extend=True)
    of_layout(output, None)
    with pytest.raises(
        ConfigError, match=r"layout 1 there, and 2 here.*remove the folder parts there and run it again"
    ):
        ingest(wanted)
    shutil.rmtree(output / "parts")
    ingest(wanted)
    after = everything(output)
    same = [name for name in before if name.startswith(("shards/", "rejects/", "ledger/"))]
    assert same and all(after[name] == before[name] for name in same)


def test_a_finished_corpus_does_not_depend_on_the_layout_of_parts_that_were_kept(
    lists: Path, fetched: Path, tmp_path: Path
) -> None:
    """As before: it is read, and extended once the folder is gone."""
    output = copied(fetched, tmp_path / "corpus")
    wanted = settings(str(lists / "b.parquet"), output, extend=True)
    ingest(config(lists, output, keep_parts=True))
    of_layout(output, None)
    with pytest.raises(CorpusError, match="there is a corpus here already"):
        ingest(config(lists, output, keep_parts=True))
    with pytest.raises(ConfigError, match="there are parts of an earlier run"):
        ingest(wanted)
    shutil.rmtree(output / "parts")
    ingest(wanted)
    kept = dataclasses.replace(wanted, keep_parts=True)
    assert ingest(kept).rows == ingest(wanted).rows  # committed already
