"""Every sample is scored once, with the bytes of one process on any number of them, after any kill and beside any other run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tagmill.pipeline import ImageDecoder, World
from tagmill.shards import ConfigError, Corpus, IntegrityError, Store, TagmillError
from tagmill.shards.manifest import commit
from tagmill.studies.scores import score_run as subject
from tagmill.studies.scores.score_files import DONE_FILE, UNIT, Scores, part_name
from tagmill.studies.scores.score_run import ScoreSettings
from tagmill.studies.scores.teacher import TeacherSource, open_teacher
from tests.pipeline.corpora import Made, make_corpus
from tests.shards.progress.recorded import Recorded
from tests.shards.purger import take_down
from tests.studies.scores.killed_runs import kill_after_every_write
from tests.studies.scores.scored import (
    NUM_PARTS,
    SETTINGS,
    UNDECODABLE,
    files_of,
    score_run,
    scored,
    scored_by_processes,
    small_corpus,
)
from tests.studies.scores.scored import small_teacher as teacher_in
from tests.warm.python import called

Place = tuple[str, Made, Path]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A teacher, a corpus, and the scores of a run that was not stopped."""
    folder = tmp_path_factory.mktemp("whole")
    teacher, made = teacher_in(folder / "teacher"), small_corpus(folder / "corpus")
    scored(teacher, made.url, folder / "scores")
    return teacher, made, folder / "scores"


def rows_of(scores: Scores) -> list[tuple[str, int, int]]:
    """Returns key, label and score of all rows, in order."""
    tables = [pq.read_table(part).to_pydict() for part in scores.parts]
    return [row for table in tables for row in zip(table["key"], table["label"], table["score"], strict=True)]


def place_of(made: Made, number: int) -> tuple[str, int]:
    """Returns shard and ordinal of a sample."""
    shard = int(np.searchsorted(made.starts, number, side="right")) - 1
    return made.entries[shard].name, number - int(made.starts[shard])


def by_definition(teacher: str, made: Made, numbers: list[int], top: int) -> list[tuple[str, int, float]]:
    """Returns key, label and softmax share of the best labels of samples, each computed alone."""
    backbone = open_teacher(TeacherSource(teacher, device="cpu")).backbone
    found, transform = list[tuple[str, int, float]](), backbone.transform
    with ImageDecoder(transform.size, transform.share, 1) as decoder, torch.inference_mode():
        for number in numbers:
            images = decoder.decode([made.jpegs[number]]).normalised("float32", transform.mean, transform.std).images
            shares = torch.softmax(backbone.network(images)[0].double(), 0).tolist()
            best = sorted(range(len(shares)), key=lambda label: (-shares[label], label))[:top]
            found += [(made.keys[number].hex(), label, shares[label]) for label in best]
    return found


def test_scores_are_the_best_shares_of_the_softmax_in_the_order_of_the_corpus(whole: Place) -> None:
    teacher, made, folder = whole
    scores = subject.open_scores(str(folder))
    expected = by_definition(teacher, made, [number for number in range(42) if number not in UNDECODABLE], 3)
    found = rows_of(scores)
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    # Batches of four and of one differ in the last bits of float32, and so in one unit where a share is between two.
    assert max(abs(score - share * UNIT) for (_, _, score), (_, _, share) in zip(found, expected, strict=True)) < 1
    assert scores.totals.scored == 40 and scores.totals.rows == 120 == len(found)
    assert scores.totals.skipped == {"decoder_failed": 2} and scores.facts.num_parts == NUM_PARTS
    assert scores.facts.corpus == {"name": "test", "manifest": made.open().file.manifest.sha256}


def test_runs_that_are_killed_after_each_write_and_two_processes_leave_the_same_bytes(
    whole: Place, tmp_path: Path
) -> None:
    teacher, made, folder = whole
    process = called(tmp_path / "call", kill_after_every_write, teacher, made.url, tmp_path / "kills")
    assert process.wait(200) == 0
    assert (tmp_path / "kills.killed").read_text() == str(NUM_PARTS + 2)  # scores.json, the parts, done.json
    # From a process that has the libraries, so that its workers have them too.
    process = called(tmp_path / "second", scored_by_processes, teacher, made.url, tmp_path / "two", 2)
    assert process.wait(200) == 0
    assert files_of(tmp_path / "kills") == files_of(folder) == files_of(tmp_path / "two")


@pytest.mark.parametrize("first", [0, 1, 2])
def test_processes_of_a_world_leave_the_same_bytes_and_none_waits_for_another(
    whole: Place, tmp_path: Path, first: int
) -> None:
    teacher, made, folder = whole
    begun = score_run(teacher, made.url, tmp_path, World(first, 3))
    assert (begun.scored() is None) == (first != 0)  # alone, it does the work of the others too
    assert (tmp_path / DONE_FILE).exists() == (first == 0)
    assert score_run(teacher, made.url, tmp_path, World(0, 3)).scored() is not None
    assert files_of(tmp_path) == files_of(folder)


def test_a_process_that_helps_gives_a_part_up_when_it_is_there(
    whole: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, made, folder = whole
    store, exists, asked = Store(str(tmp_path)), Store.exists, dict[str, int]()

    def arriving(self: Store, name: str) -> bool:
        asked[name] = asked.get(name, 0) + 1
        if asked[name] == 2 and name == part_name(0):  # before the first batch of the part
            store.put_new(name, (folder / name).read_bytes())
        return exists(self, name)

    monkeypatch.setattr(Store, "exists", arriving)
    shown = Recorded()
    score_run(teacher, made.url, tmp_path, World(1, 2)).scored(shown)
    assert shown.stages == [("score", 13 + 3), ("score: parts of other processes", None)]
    assert shown.done == {"score": 16, "score: parts of other processes": 13}  # part 2, and nothing of part 0
    assert shown.outcomes["score"] == {"ok": 15, "decoder_failed": 1}


def test_a_sample_that_is_taken_down_is_never_read_and_changes_no_other_score(whole: Place, tmp_path: Path) -> None:
    teacher, _, folder = whole
    made = small_corpus(tmp_path / "corpus")
    gone = [made.keys[number].hex() for number in (0, 30)]
    take_down(made.open(), [place_of(made, number) for number in (0, 30)])
    found = scored(teacher, made.url, tmp_path / "scores")
    assert rows_of(found) == [row for row in rows_of(subject.open_scores(str(folder))) if row[0] not in gone]
    assert found.totals.skipped == {"decoder_failed": 2, "taken_down": 2}


def test_a_takedown_during_the_run_takes_effect_at_the_next_part(
    whole: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, made, put_new = whole[0], small_corpus(tmp_path / "corpus"), Store.put_new

    def taking_down(self: Store, name: str, source: bytes) -> bool:
        if name == part_name(0):
            take_down(made.open(), [place_of(made, number) for number in (3, 40)])
        return put_new(self, name, source)

    monkeypatch.setattr(Store, "put_new", taking_down)
    found = scored(teacher, made.url, tmp_path / "scores")
    keys = {key for key, _, _ in rows_of(found)}
    assert made.keys[3].hex() in keys and made.keys[40].hex() not in keys
    assert found.totals.skipped == {"decoder_failed": 2, "taken_down": 1}


def test_the_splits(whole: Place, tmp_path: Path) -> None:
    teacher, made, folder = whole
    held = rows_of(scored(teacher, made.url, tmp_path / "held", split="holdout"))
    assert [key for key, _, _ in held[::3]] == [key.hex() for key in made.keys[42:]]
    every = scored(teacher, made.url, tmp_path / "all", split="all")
    assert every.facts.samples == 48 and {key for key, _, _ in rows_of(every)} == {
        key for key, _, _ in [*rows_of(subject.open_scores(str(folder))), *held]
    }


def test_altered_images_are_counted_and_a_corpus_without_any_image_is_an_error(whole: Place, tmp_path: Path) -> None:
    made = make_corpus(tmp_path / "corpus", [5], replace={3: b"no JPEG"})
    tar = made.file(0, ".tar")
    data = bytearray(tar.read_bytes())
    records = np.load(made.file(0, ".npy"))
    data[int(records[1]["offset"]) + 200] ^= 1
    tar.write_bytes(data)
    assert scored(whole[0], made.url, tmp_path / "scores").totals.skipped == {"altered": 1, "decoder_failed": 1}
    none = make_corpus(tmp_path / "none", [3], replace=dict.fromkeys(range(3), b"no JPEG"))
    for _ in range(2):  # the second time the part is there
        with pytest.raises(TagmillError, match="no sample has scores: 3 decoder_failed"):
            scored(whole[0], none.url, tmp_path / "nothing")
    assert not (tmp_path / "nothing" / DONE_FILE).exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"top": 2}, "begun with top 3, not 2"),
        ({"split": "all"}, "begun with split train, not all"),
        ({"batch": 8}, "begun with batch 4, not 8"),
    ],
)
def test_a_second_start_with_something_else_is_refused_and_changes_nothing(
    whole: Place, changes: dict[str, object], says: str
) -> None:
    teacher, made, folder = whole
    before = files_of(folder)
    with pytest.raises(ConfigError, match=says):
        scored(teacher, made.url, folder, **changes)
    assert files_of(folder) == before


def test_another_teacher_or_corpus_is_refused(whole: Place, tmp_path: Path) -> None:
    teacher, made, folder = whole
    other = teacher_in(tmp_path / "teacher", seed=4)
    with pytest.raises(ConfigError, match=r"begun with teacher.name test_efficientnet \w{12}, not test_efficientnet"):
        scored(other, made.url, folder)
    with pytest.raises(ConfigError, match=r"begun with corpus.manifest \w{64}, not \w{64}"):
        scored(teacher, make_corpus(tmp_path / "corpus", [9]).url, folder)
    with pytest.raises(ConfigError, match="a corpus is here"):
        scored(teacher, made.url, made.url)


def test_nothing_is_scored_again_and_an_altered_part_is_found(whole: Place, tmp_path: Path) -> None:
    teacher, made, folder = whole
    for name, data in files_of(folder).items():
        if name != DONE_FILE:
            Store(str(tmp_path)).put(name, data)
    shown = Recorded()
    assert score_run(teacher, made.url, tmp_path).scored(shown) == replace(
        subject.open_scores(str(folder)),
        url=str(tmp_path),
        parts=[f"{tmp_path}/{part_name(number)}" for number in range(NUM_PARTS)],
    )
    assert shown.done == {"check": NUM_PARTS}
    (tmp_path / DONE_FILE).unlink()
    (tmp_path / part_name(2)).write_bytes((folder / part_name(1)).read_bytes())
    with pytest.raises(IntegrityError, match=r"000002.parquet.*delete the file"):
        score_run(teacher, made.url, tmp_path).scored()


def test_what_cannot_be_scored_is_said_before_anything_is_written(whole: Place, tmp_path: Path) -> None:
    teacher, made, _ = whole
    with pytest.raises(ConfigError, match=r"the teacher has 7 .*give at most --top 7"):
        scored(teacher, made.url, tmp_path / "out", top=8)
    with pytest.raises(ConfigError, match="leave --processes out"):
        score_run(teacher, made.url, tmp_path / "out", World(0, 2), processes=2)
    empty = make_corpus(tmp_path / "empty", [4])
    commit(empty.open().store, replace(empty.open().file, totals={"samples": 0, "bytes": 0}))
    with pytest.raises(TagmillError, match="no samples in split holdout"):
        scored(teacher, empty.url, tmp_path / "out", split="holdout")
    assert not (tmp_path / "out").exists()


def test_a_teacher_that_overflows_is_an_error_and_leaves_no_part(whole: Place, tmp_path: Path) -> None:
    opened = open_teacher(TeacherSource(whole[0], device="cpu"))
    with torch.no_grad():
        opened.backbone.network.get_classifier().bias.fill_(torch.inf)
    run = subject.ScoreRun(opened, Corpus.open(whole[1].url), Store(str(tmp_path)), SETTINGS)
    with pytest.raises(TagmillError, match="not finite, for all 12 images of a part"):
        run.scored()
    assert [*files_of(tmp_path)] == ["scores.json"]


def test_the_usual_settings_are_those_of_the_paper() -> None:
    assert ScoreSettings().top == 10 and ScoreSettings().split == "train"


def test_scores_name_the_teacher_by_its_content(whole: Place) -> None:
    facts = json.loads((whole[2] / "scores.json").read_text())
    assert facts["format"] == "1" and facts["loss"] == "softmax" and str(whole[2].parent) not in json.dumps(facts)
    assert facts["teacher"]["network"] == "test_efficientnet" and facts["teacher"]["transform"]["size"] == 32
