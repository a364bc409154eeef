"""Whole runs of `tagmill transfer`: the report, the same bytes after a stop, and clear errors."""

import json
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tagmill.shards import ConfigError, TagmillError
from tagmill.transfer.command import outcomes
from tagmill.transfer.command.compare_command import compare_command
from tagmill.transfer.command.protocols import PROTOCOLS, Protocol
from tagmill.transfer.command.transfer_command import transfer_command
from tagmill.transfer.outcome.outcome_file import read_outcome
from tagmill.transfer.report import report_facts
from tests.browse.worded import key_of
from tests.transfer.command.drawn_folder import NETWORK, write_folder, write_model
from tests.transfer.command.killed_transfer import ended
from tests.transfer.outcome.test_lower_bound import paired

FLAGS = ["--network", NETWORK, "--resolution", "32", "--threads", "1", "--device", "cpu", "--shots", "1", "5"]
FLAGS += ["--seeds", "2", "--random-networks", "1", "--neighbours", "3", "--images", "4"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("inputs")
    return [write_model(folder), str(write_folder(folder / "set", each=12)), *FLAGS]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    output = tmp_path_factory.mktemp("done")
    transfer_command([*inputs, "--output", str(output)])
    return output


def test_the_report_has_each_protocol_of_the_model_and_of_the_random_network(done: Path) -> None:
    report = json.loads((done / "report.json").read_bytes())
    made = [(each["variant"], each["random_seed"]) for each in report["outcomes"]]
    one = ["linear", "knn", *["few-shot, 1 a class"] * 2, *["few-shot, 5 a class"] * 2]
    assert made == [(name, seed) for seed in (None, 0) for name in one]
    assert all((done / each["file"]).exists() for each in report["outcomes"])
    assert len({each["images"] for each in report["outcomes"]}) == 1
    assert sum(each["skipped"].values() != {} for each in report["outcomes"]) == len(made)
    seconds = json.loads((done / "seconds.json").read_bytes())
    assert seconds.keys() == {each["file"] for each in report["outcomes"]}
    assert b"seconds" not in (done / "report.json").read_bytes()
    assert b"few-shot, 5 a class" in (done / "report.html").read_bytes()


def files(folder: Path) -> dict[str, bytes]:
    """Everything in an output that a run is to make again: times are not, nor what a killed write left."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != "seconds.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.suffix != ".spool"}


def test_a_run_that_is_killed_in_any_of_its_writes_gives_the_same_bytes(inputs: list[str], tmp_path: Path) -> None:
    rng, arrays = np.random.default_rng(3), tmp_path / "arrays.npz"
    labels = np.arange(18) % 2
    pixels = rng.integers(0, 120, (18, 16, 16, 3)) + 100 * labels[:, None, None, None]
    np.savez(arrays, images=pixels.astype(np.uint8), labels=labels)
    words = [
        "transfer",
        inputs[0],
        str(arrays),
        *FLAGS,
        "--protocols",
        "knn",
        "few-shot",
        "--shots",
        "1",
        "--seeds",
        "1",
    ]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert ended(tmp_path / "undisturbed", [*words, "--output", str(whole)]) == 0
    left = list[set[str]]()
    for place, moment in enumerate((2, "outcomes/", 5, "report.html")):
        status = ended(tmp_path / f"killed-{place}", [*words, "--output", str(parts)], killed_in=moment)
        assert status == -signal.SIGKILL
        left.append(set(files(parts)))
    assert all(before < after for before, after in pairwise(left)), "each run goes on"
    assert "report.json" in left[-1] - left[-2] and "report.html" not in left[-1]
    assert len(list(parts.rglob(".*.spool"))) == len(left), "halves of objects that were being written"
    assert ended(tmp_path / "last", [*words, "--output", str(parts)]) == 0
    assert files(parts) == files(whole) and {"report.json", "report.html"} <= files(whole).keys()


def test_what_is_there_is_not_run_again(
    done: Path, inputs: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (done / "report.json").read_bytes()

    def never(*_: object) -> None:
        raise AssertionError("run again")

    for name, protocol in list(PROTOCOLS.items()):
        monkeypatch.setitem(PROTOCOLS, name, Protocol(protocol.variants, never))  # type: ignore[arg-type]
    capsys.readouterr()
    transfer_command([*inputs, "--output", str(done)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 25 and "few-shot, 5 a class" in "\n".join(lines) and lines[-1].endswith("report.html")
    assert (done / "report.json").read_bytes() == before
    transfer_command([*inputs, "--output", str(done), "--json"])
    assert capsys.readouterr().out.encode() == before


def test_other_versions_run_again(done: Path, inputs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "library_versions", lambda: {**report_facts.library_versions(), "torch": "other"})
    number = len(list((done / "outcomes").iterdir()))
    transfer_command([*inputs, "--output", str(done), "--protocols", "knn", "--random-networks", "0"])
    assert len(list((done / "outcomes").iterdir())) == number + 1


def test_two_outcomes_are_compared(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads((done / "report.json").read_bytes())
    files = [str(done / each["file"]) for each in report["outcomes"]][:1] * 2
    capsys.readouterr()
    compare_command(files)
    assert "McNemar p" in capsys.readouterr().out
    compare_command([*files, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["difference"] == [0, 0, 0] and found["p_value"] == 1 and found["only_first"] == 0
    with pytest.raises(TagmillError, match="no such outcome"):
        compare_command([files[0], str(done / "none.parquet")])


def test_one_set_as_both_is_refused(inputs: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the same images"):
        transfer_command([*inputs, "--output", str(tmp_path), "--test", inputs[1]])


def test_fewer_images_than_shots_are_an_error_after_what_was_done(inputs: list[str], tmp_path: Path) -> None:
    words = [
        *inputs,
        "--output",
        str(tmp_path),
        "--shots",
        "50",
        "--random-networks",
        "0",
        "--protocols",
        "knn",
        "few-shot",
    ]
    with pytest.raises(ConfigError, match="fewer than 50"):
        transfer_command(words)
    assert len(list((tmp_path / "outcomes").iterdir())) == 1


def test_images_that_training_saw_are_reported_apart(
    done: Path, inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads((done / "report.json").read_bytes())
    name = next(each["file"] for each in report["outcomes"] if each["protocol"] == "knn")
    outcome = read_outcome((done / name).read_bytes(), name)
    corpus = paired(tmp_path / "corpus", *((str(key), key_of(0)) for key in outcome.keys[:3]))
    words = [*inputs, "--output", str(tmp_path / "out"), "--protocols", "knn", "--random-networks", "0"]
    capsys.readouterr()
    transfer_command([*words, "--trained-on", f"{corpus.store.url}#default", "--evaluation-set", "val"])
    shown = capsys.readouterr().out
    assert "lower, %" in shown and "unseen, %" in shown
    (found,) = json.loads((tmp_path / "out" / "report.json").read_bytes())["lower_bounds"].values()
    right = int((outcome.top[:3, 0] == outcome.truth[:3]).sum())
    assert (
        found["seen"] == 3 and found["seen_correct"] == right and found["lower"] <= found["correct"] / found["images"]
    )
    with pytest.raises(ConfigError, match="--evaluation-set"):
        transfer_command([*words, "--trained-on", corpus.store.url])
