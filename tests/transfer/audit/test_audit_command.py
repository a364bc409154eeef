"""Tests of the whole command: a model that knows two colours, subjects of two groups, and a table."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagmill.shards import InputError
from tagmill.transfer.audit import audit_command as module
from tagmill.transfer.audit.audit_command import AUDIT_FILE, AUDIT_PAGE, audit_command
from tests.training.trained.models import trained

ONE = trained("test_resnet", 32)


def write_faces(folder: Path, subjects: int = 62) -> tuple[Path, Path]:
    """Two images of a colour for each subject, red ones of one group and blue ones of the other, and a table of the groups."""
    for name in ("a", "b"):
        (folder / "faces" / name).mkdir(parents=True)
    chance, rows = np.random.default_rng(1), ["key,subject,colour"]
    for subject in range(subjects):
        group = subject % 2
        for number in range(2):
            pixels = chance.integers(0, 60, (40, 40, 3), dtype=np.uint8)
            pixels[..., 2 * group] += 190
            key = f"{'ab'[number]}/{subject:03d}.png"
            Image.fromarray(pixels).save(folder / "faces" / key)
            rows.append(f"{key},s{subject},{('red', 'blue')[group]}")
    (folder / "faces" / "a" / "broken.png").write_bytes(b"no image")
    (folder / "faces" / "a" / "unlisted.png").write_bytes(b"no image")
    rows.append("a/broken.png,s0,red")
    (folder / "table.csv").write_text("\n".join(rows))
    return folder / "faces", folder / "table.csv"


def test_the_command_writes_its_findings_and_says_what_it_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faces, table = write_faces(tmp_path)
    monkeypatch.setattr(module, "read_model", lambda *named: ONE)
    line = [
        *("m", str(faces), "--attributes", str(table), "--attribute", "colour"),
        "--best",
        "1",
        "--permutations",
        "99",
    ]
    texts = set()
    for output in ("one", "two"):
        audit_command([*line, "--draws", "20", "--device", "cpu", "--threads", "1", "--output", str(tmp_path / output)])
        texts.add((tmp_path / output / AUDIT_FILE).read_bytes())
        line = [*line, "--pictures"] if output == "one" else line
    pages = [(tmp_path / output / AUDIT_PAGE).read_text() for output in ("one", "two")]
    findings = sum(group["finding"] for each in json.loads(min(texts))["results"] for group in each["groups"])
    assert "<img" not in pages[0] and ("<img" in pages[1]) == (findings > 0)
    assert len(texts) == 1  # a function of what it was given
    facts = json.loads(texts.pop())
    assert facts["images"] == 124 and sum(facts["skipped"].values()) == 2
    assert {each["name"]: each["subjects"] for each in facts["groups"]} == {"red": 31, "blue": 31}
    assert all(0 <= group["rate"] <= 1 for each in facts["results"] for group in each["groups"])
    shown = capsys.readouterr().out
    assert "not a cause" in " ".join(shown.split()) and "31 subjects, 124 images" in shown


def test_small_groups_end_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces, table = write_faces(tmp_path, 40)
    monkeypatch.setattr(module, "read_model", lambda *named: ONE)
    with pytest.raises(InputError, match="fewer than 30 subjects"):
        audit_command(
            ["m", str(faces), "--attributes", str(table), "--attribute", "colour", "--output", str(tmp_path / "out")]
        )
    assert not (tmp_path / "out").exists()
