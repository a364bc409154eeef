"""Tests of commands under torchrun: what one process gives, the others silent; what one process does is refused."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tagmill.shards import ConfigError
from tagmill.transfer.command.protocols import PROTOCOLS, check_processes
from tagmill.transfer.command.ranks import Ranks, one_process
from tagmill.transfer.command.transfer_command import transfer_command
from tests.training.whole.worlds import run_each
from tests.transfer.command.drawn_folder import write_folder, write_model

TUNING = ["--scale", "0.008", "--fine-tune-size", "32", "--fine-tune-batch", "9", "--fine-tune-lr", "0.02"]


@dataclass(frozen=True)
class Words:
    """A command line, as `run_each` gives it to every process."""

    output: str
    words: list[str]


def transfer(task: Words) -> None:
    transfer_command([*task.words, "--output", task.output])


def test_two_processes_write_the_report_of_one_and_only_the_first_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [write_model(tmp_path, "test_vit"), str(write_folder(tmp_path / "set", each=10)), *TUNING]
    words += ["--network", "test_vit", "--protocols", "fine-tune", "few-shot-fine-tune", "--shots", "3", "--seeds", "1"]
    words += ["--threads", "1", "--device", "cpu", "--images", "1"]
    one, two = (Words(str(tmp_path / name), words) for name in ("one", "two"))
    transfer(one)
    shown = capsys.readouterr().out
    run_each([two], 2, transfer)  # type: ignore[list-item, arg-type]
    for name in ("report.json", "report.html"):
        assert Path(one.output, name).read_bytes() == Path(two.output, name).read_bytes()
    said = [Path(f"{two.output}.rank{rank}.txt").read_text() for rank in range(2)]
    assert said[0].endswith(shown.replace(one.output, two.output)) and "hyperrule" in said[0]
    assert "report" not in said[1]
    assert len(list(Path(two.output, "outcomes").iterdir())) == 2


def test_what_one_process_does_is_refused_under_several(monkeypatch: pytest.MonkeyPatch) -> None:
    check_processes(list(PROTOCOLS))
    one_process("tagmill transfer zero-shot")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    check_processes(["fine-tune", "few-shot-fine-tune"])
    with pytest.raises(ConfigError, match=r"3 processes for linear, knn.*start it without torchrun"):
        check_processes(["linear", "fine-tune", "knn", "linear"])
    with pytest.raises(ConfigError, match="3 processes for linear, knn, few-shot"):
        transfer_command(["model", "set", "--output", "out"])


def test_one_process_is_the_first_and_its_actions_are_done_at_once() -> None:
    assert Ranks().first and not Ranks(1, 2).first and Ranks().on_first(lambda: 7) == 7
