"""Tests of the whole command on class folders and a corpus of the model's labels."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tagmill.shards import ConfigError
from tagmill.training.trained.labels import ModelLabel
from tagmill.transfer.outcome.outcome_file import read_outcome
from tagmill.transfer.report.report_files import REPORT_JSON, REPORT_PAGE
from tagmill.transfer.sets.any_label import AnyLabelSet
from tagmill.transfer.sets.kinds.imagenet import real_labels
from tagmill.transfer.zero_shot import zero_shot_command as module
from tagmill.transfer.zero_shot.zero_shot_command import ZERO_SHOT_FILE, ZeroShotOptions, judged_set, zero_shot_command
from tests.browse.worded import make_worded
from tests.pipeline.corpora import picture
from tests.training.trained.models import trained

LABELS = tuple(ModelLabel(f"label{number}", (f"n{number:08d}",)) for number in range(4))  # those of the corpus
ONE = replace(trained("test_vit", 32), labels=LABELS)


def folders(root: Path) -> str:
    for place, name in enumerate(("label0", "label3", "zyzzy")):
        (root / name).mkdir(parents=True)
        for number in range(4):
            (root / name / f"{number}.jpg").write_bytes(picture(4 * place + number, 40, 30))
    (root / "zyzzy" / "broken.jpg").write_bytes(b"no image")
    return str(root)


def test_all_scores_are_written_with_and_without_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "read_model", lambda *named: ONE)
    make_worded(tmp_path / "corpus")
    flags = ["--corpus", str(tmp_path / "corpus"), "--corpus-split", "train", "--device", "cpu", "--threads", "1"]
    images, written = folders(tmp_path / "set"), []
    for name in ("one", "two"):
        zero_shot_command(["m", images, *flags, "--output", str(tmp_path / name)])
        written.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert written[0] == written[1] and len(written[0]) == 6 + 6 + 3
    facts = json.loads(written[0][ZERO_SHOT_FILE])
    assert facts["without_a_label"] == ["zyzzy"] and sum(facts["skipped"].values()) == 1 and facts["images"] == 12
    assert facts["calibration"]["largest_deviation"] <= 0.01 and facts["calibration"]["tagged_images"] == 8
    for row in facts["results"]:
        outcome = read_outcome(written[0][row["outcome"]], row["outcome"])
        right = int((outcome.top[:, 0] == outcome.truth).sum())
        assert row["all"]["right"] == row["with_a_label"]["right"] == right
        assert (row["all"]["images"], row["with_a_label"]["images"]) == (12, 8)
        assert outcome.settings["score"] == row["score"] and outcome.settings["calibrated"] == row["calibrated"]
    report = json.loads(written[0][REPORT_JSON])
    top1 = {each["variant"]: (each["right"], each["images"]) for each in report["outcomes"]}
    calibrated = next(row for row in facts["results"] if row["score"] == "sum" and row["calibrated"])
    assert top1["zero-shot, sum, calibrated"] == (calibrated["all"]["right"], 12) and len(top1) == 12
    assert top1["zero-shot, sum, calibrated, classes with a label"] == (calibrated["with_a_label"]["right"], 8)
    page = written[0][REPORT_PAGE].decode()
    assert "1 of 3 classes have no label" in page and "zero-shot, max" in page and "training set</th>" not in page
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "1 of 3 classes have no label, all their images are errors: zyzzy" in shown
        and "calibrated on 8 images" in shown
    )


def test_without_a_corpus_nothing_is_calibrated_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "read_model", lambda *named: ONE)
    zero_shot_command(["m", folders(tmp_path / "set"), "--output", str(tmp_path / "out"), "--threads", "1"])
    assert (
        len(list((tmp_path / "out").iterdir())) == 3 + 3 + 3
        and "not calibrated: give --corpus" in capsys.readouterr().out
    )
    (tmp_path / "set" / "label0").rename(tmp_path / "set" / "other")
    (tmp_path / "set" / "label3").rename(tmp_path / "set" / "another")
    with pytest.raises(ConfigError, match="none of the 4 labels of the model is one of the 3 classes"):
        zero_shot_command(["m", str(tmp_path / "set"), "--output", str(tmp_path / "none"), "--threads", "1"])


def test_reals_images_are_judged_by_all_their_labels(tmp_path: Path) -> None:
    places = [place for place, labels in enumerate(real_labels()) if len(labels) != 1][:40]
    for place in places:
        (tmp_path / f"ILSVRC2012_val_{place + 1:08d}.JPEG").write_bytes(b"a")
    several = [place for place in places if real_labels()[place]]
    options = ZeroShotOptions(model="m", images=f"imagenet-real:{tmp_path}", output=tmp_path / "out")
    found, left_out = judged_set(options)
    assert isinstance(found, AnyLabelSet) and 0 < len(several) < 40
    assert [*found.right] == [real_labels()[place] for place in several] and left_out == {"no_label": 40 - len(several)}
    table = tmp_path / "set.csv"
    table.write_text("path,labels\n" + "".join(f"ILSVRC2012_val_{place + 1:08d}.JPEG,a|b\n" for place in places))
    flagged = replace(options, images=str(table), any_label=True)
    assert isinstance(judged_set(flagged)[0], AnyLabelSet)
    assert not isinstance(judged_set(replace(flagged, any_label=False))[0], AnyLabelSet)
