"""Tests that a run which is interrupted outside of its steps ends in one line too."""

import runpy

import pytest


@pytest.mark.filterwarnings("ignore:'tagmill.train' found in sys.modules")
def test_an_interrupt_before_the_steps_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(words: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tagmill.training.config.recipe.from_command_line", interrupted)
    monkeypatch.setattr("sys.argv", ["train"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("tagmill.train", run_name="__main__")
    said = capsys.readouterr().err
    assert caught.value.code == 130 and said.count("\n") == 1 and "the same command continues" in said
