"""Tests where metrics go: JSON lines, and the others through stand-ins of their packages."""

import importlib.util
import json
import sys
import types
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagmill.shards import ConfigError, Store, TagmillError
from tagmill.train import train
from tagmill.training.config.train import TrainConfig
from tagmill.training.metrics.flat import flat
from tagmill.training.metrics.writers import EVALUATIONS, METRICS, Writers, check_writers, open_writers
from tests.training.runs import VIT, lines

LINE = {"step": 3, "loss": 1.5, "labels": {"tail": {"top1": 0.5, "training_images": [1, 2]}}, "name": "x", "on": True}
FLAT = {"evaluations/loss": 1.5, "evaluations/labels/tail/top1": 0.5}


def opened(config: TrainConfig, step: int, stack: ExitStack) -> Writers:
    return open_writers(config, Store(config.output), step, {"config": {"lr": 0.1}}, stack)


def test_lines_of_each_kind_have_a_file(tmp_path: Path) -> None:
    config = replace(VIT, output=str(tmp_path))
    for step in (0, 2):
        with ExitStack() as stack:
            writers = opened(config, step, stack)
            assert writers.last_step(METRICS) == step
            for number in range(step + 1, 5):
                writers.add(METRICS, {"step": number})
            writers.add(EVALUATIONS, LINE)
            writers.flush()
    assert lines(tmp_path) == [{"step": number} for number in range(1, 5)]
    assert [json.loads(line) for line in (tmp_path / "evaluations.jsonl").read_text().splitlines()] == [LINE]
    assert Writers().last_step(METRICS) == 0
    Writers().add(METRICS, LINE)


def test_curves_are_numbers_by_name() -> None:
    assert dict(flat(LINE, "evaluations")) == FLAT


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_missing_package_is_named_before_a_corpus_is_opened(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else usual(name))
    flag: dict[str, Any] = {"tensorboard": True} if package == "tensorboard" else {"wandb": "tags"}
    config = replace(VIT, corpus="/no/such/corpus", **flag)
    with pytest.raises(ConfigError, match=rf"--{package} needs .*: pip install 'tagmill\[{package}\]'"):
        train(config)


def test_tensorboard_in_a_bucket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    config = replace(VIT, tensorboard=True)
    check_writers(config)
    object.__setattr__(config, "output", "s3://models/run")
    with pytest.raises(ConfigError, match=r"s3://models/run.*--wandb"):
        check_writers(config)


# ------------------------------------------------------------------------------------------------------------ Stand-ins
class Summary:
    """A stand-in for torch's SummaryWriter."""

    made: list["Summary"]

    def __init__(self, folder: str, purge_step: int | None) -> None:
        self.folder, self.purge_step, self.said, self.calls = folder, purge_step, list[Any](), list[str]()
        Summary.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.said.append((name, value, step))

    def flush(self) -> None:
        self.calls.append("flush")

    def close(self) -> None:
        self.calls.append("close")


def test_tensorboard_gets_every_number_and_drops_later_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Summary.made = []
    stand_in: Any = types.ModuleType("torch.utils.tensorboard")
    stand_in.SummaryWriter = Summary
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    for step in (0, 2):
        with ExitStack() as stack:
            writers = opened(replace(VIT, output=str(tmp_path), tensorboard=True), step, stack)
            writers.add(EVALUATIONS, LINE)
            writers.flush()
    first, second = Summary.made
    assert first.folder == second.folder == str(tmp_path / "tensorboard")
    assert (first.purge_step, second.purge_step) == (None, 3)
    assert first.said == [(name, value, 3) for name, value in FLAT.items()] and first.calls == ["flush", "close"]


class RefusalError(Exception):
    """A stand-in for wandb.errors.Error."""


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A stand-in of the package, which keeps what it was given."""
    stand_in: Any = types.ModuleType("wandb")
    stand_in.runs, stand_in.errors = [], types.SimpleNamespace(Error=RefusalError)
    stand_in.Settings = lambda **values: values

    class Run:
        def __init__(self, given: dict[str, Any]) -> None:
            self.given, self.said, self.axes, self.ended = given, list[Any](), list[Any](), list[Any]()

        def define_metric(self, name: str, step_metric: str | None = None) -> None:
            self.axes.append((name, step_metric))

        def log(self, values: dict[str, Any]) -> None:
            self.said.append(values)

        def finish(self, exit_code: int) -> None:
            self.ended.append(exit_code)

    def init(**given: Any) -> Run:
        stand_in.runs.append(Run(given))
        return stand_in.runs[-1]

    stand_in.init = init
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    yield stand_in


def test_wandb_goes_on_with_the_run_of_the_output(wandb: Any, tmp_path: Path) -> None:
    config = replace(VIT, output=str(tmp_path), wandb="tags")
    for step in (0, 2, 0):  # a new run, resumed, started again
        with ExitStack() as stack:
            opened(config, step, stack).add(EVALUATIONS, LINE)
    with ExitStack() as stack:
        opened(replace(config, wandb="other"), 2, stack)
    first, resumed, fresh, other = wandb.runs
    ids = [run.given["id"] for run in wandb.runs]
    assert ids[0] == ids[1] and len(set(ids)) == 3 and {run.given["resume"] for run in wandb.runs} == {"allow"}
    assert first.given["project"] == "tags" and first.given["config"] == {"config": {"lr": 0.1}}
    assert first.given["dir"] == str(tmp_path) and other.given["project"] == "other"
    assert resumed.said == [{"step": 3, **FLAT}] and ("*", "step") in resumed.axes
    assert [run.ended for run in (first, fresh)] == [[0], [0]]


def test_wandb_shows_a_run_that_failed_as_failed(wandb: Any, tmp_path: Path) -> None:
    with pytest.raises(InterruptedError), ExitStack() as stack:
        opened(replace(VIT, output=str(tmp_path), wandb="tags"), 0, stack)
        raise InterruptedError
    assert wandb.runs[0].ended == [1]


def test_a_refusal_of_wandb_is_one_line(wandb: Any, tmp_path: Path) -> None:
    def refuse(**given: Any) -> None:
        raise RefusalError("no API key")

    wandb.init = refuse
    with ExitStack() as stack, pytest.raises(TagmillError, match=r"no API key.*WANDB_MODE=offline"):
        opened(replace(VIT, output=str(tmp_path), wandb="tags"), 0, stack)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"project": "tags"}', b'{"project": "tags", "id": 3}'])
def test_a_damaged_identity_begins_a_new_run(content: bytes, wandb: Any, tmp_path: Path) -> None:
    (tmp_path / "wandb.json").write_bytes(content)
    with ExitStack() as stack:
        opened(replace(VIT, output=str(tmp_path), wandb="tags"), 5, stack)
    saved = json.loads((tmp_path / "wandb.json").read_text())
    assert saved == {"project": "tags", "id": wandb.runs[0].given["id"]} and len(saved["id"]) == 8
