"""Tests the example at the end of the demo."""

from pathlib import Path

import pytest

from tagmill.demo.example import example, first_held_out
from tagmill.predict.predict_command import predict_command
from tagmill.training.trained.folder import write_folder
from tests.pipeline.corpora import make_corpus
from tests.training.trained.models import trained


def test_it_is_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_corpus(tmp_path / "corpus", [5], holdout=[3])
    write_folder(trained("test_resnet", 48), str(tmp_path / "model"))
    found = example(tmp_path / "corpus", tmp_path / "model", tmp_path / "unseen.jpg")
    assert first_held_out(tmp_path / "corpus") == (tmp_path / "unseen.jpg").read_bytes() == made.jpegs[5]
    assert len(found["labels"]) == 3 and 0 < found["labels"][0][1] <= 1
    predict_command([found["model"], found["image"], "--top", "3"])
    words = "  ".join(f"{score:.1%} {name}" for name, score in found["labels"])
    assert capsys.readouterr().out == f"{found['image']}  {words}\n"
