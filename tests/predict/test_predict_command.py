"""Tests of `tagmill predict`."""

import io
import json
import sys
from pathlib import Path

import pytest

from tagmill import cli
from tagmill.predict.predict_command import predict_command
from tagmill.shards import TagmillError
from tagmill.training.trained.folder import write_folder
from tests.pipeline.corpora import picture
from tests.training.trained.models import LABELS, trained


@pytest.fixture
def model(tmp_path: Path) -> str:
    write_folder(trained("test_resnet", 48), str(tmp_path / "model"))
    return str(tmp_path / "model")


def photos(folder: Path, number: int) -> Path:
    folder.mkdir()
    for place in range(number):
        (folder / f"{place}.jpg").write_bytes(picture(place))
    return folder


def test_a_line_a_picture_has_labels_in_words(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = photos(tmp_path / "photos", 5)
    predict_command([model, str(folder), f"{folder}/2.jpg", "--top", "2", "--batch-size", "4", "--device", "cpu"])
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines] == [f"{folder}/{n}.jpg" for n in (0, 1, 2, 3, 4, 2)]
    assert lines[2].split()[1:] == lines[5].split()[1:] and len(lines[0].split()) == 5 and "%" in lines[0]
    assert any(label.name in lines[0] for label in LABELS)
    begun, ended = said.err.splitlines()
    assert begun == "predict begins" and ended.startswith("predict ends  6  ") and ended.endswith("100 % ok")


def test_json_has_a_line_a_picture_also_for_bad_ones(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos(tmp_path / "photos", 1)
    (folder / "1.jpg").write_text("no picture")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{folder}/0.jpg\n/nowhere.jpg\n".encode())))
    with pytest.raises(TagmillError, match="2 of 4 images could not be read"):
        predict_command([model, str(folder), "-", "--json", "--device", "cpu", "--threads", "1"])
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert not said.err
    assert [sorted(row) for row in rows] == [["image", "labels"], ["error", "image"]] * 2
    assert "not an image" in rows[1]["error"] and "No such file" in rows[3]["error"]
    best = rows[0]["labels"][0]
    assert {"id", "name", "synsets", "words", "score"} == set(best) and 0 < best["score"] <= 1
    assert len(rows[0]["labels"]) == len(LABELS)


def test_bad_pictures_are_a_line_each_and_status_1_at_the_end(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos(tmp_path / "photos", 2)
    (folder / "1\x1b[2J.jpg").write_text("no picture")
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", model, str(folder), "--device", "cpu"])
    said = capsys.readouterr()
    assert ended.value.code == 1 and len(said.out.splitlines()) == 2
    begun, first, done, last = said.err.splitlines()
    assert begun == "predict begins" and done.startswith("predict ends  3  ")
    assert "66.7 % ok" in done and "top: not_read 33 %" in done
    assert "1\\x1b[2J.jpg  not read: not an image" in first
    assert last.startswith("tagmill predict: 1 of 3 images could not be read")


def test_nothing_to_look_at_is_an_error(model: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TagmillError, match="no images"):
        predict_command([model, str(tmp_path / "empty"), "--device", "cpu"])
