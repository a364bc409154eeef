"""`tagmill transfer detect`."""

import json
from pathlib import Path

import pytest
import timm

from tagmill.shards import ConfigError, Store
from tagmill.training.trained.weight_file import write_weights
from tagmill.transfer.detection.detect_command import DETECT_COMMAND, detect_command
from tests.transfer.detection.coco_files import write_set


def test_a_command_trains_and_prints_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, images = write_set(tmp_path / "set")
    write_weights(timm.create_model("test_resnet").state_dict(), Store(str(tmp_path / "model")), "w.safetensors")
    words = [str(tmp_path / "model" / "w.safetensors"), "--network=test_resnet", f"--train={file}", f"--val={file}"]
    words += [f"--train-images={images}", f"--val-images={images}", f"--output={tmp_path / 'out'}", "--device=cpu"]
    words += ["--detector=mask-rcnn", "--size=light", "--epochs=1", "--batch-size=2", "--lr=0.001"]
    words += ["--short-side=32", "--long-side=64"]
    detect_command(words)
    shown = capsys.readouterr().out
    assert "mask-rcnn on 2 images of instances" in shown and "boxes  AP " in shown and "masks  AP " in shown
    detect_command([*words, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "out" / "detection.json").read_text())
    assert found["classes"] == ["car", "dog"] and found["masks"]["ap"] is not None
    assert [each["objects"] for each in found["matches"]] == [1, 0], "the only dog is a crowd"
    page = (tmp_path / "out" / "detection.html").read_bytes()
    assert b"missed: car" in page and page.count(b"<image ") >= 1 and shown.splitlines()[-1].endswith("detection.html")
    detect_command([*words, "--errors-shown=0"])
    assert b"<image " not in (tmp_path / "out" / "detection.html").read_bytes()
    with pytest.raises(ConfigError, match="a short side of 65"):
        detect_command([*words[:-2], "--short-side=65", "--long-side=64"])


def test_every_flag_has_a_sentence() -> None:
    assert all(flag.doc.endswith(".") for flag in DETECT_COMMAND.flags())
