"""Tests that the benchmark of a hostile web runs at a small size, and that every reason is counted."""

import json
import subprocess
import sys
from pathlib import Path

from tagmill.bench import hostile, measure


def test_a_fifth_of_the_rows_is_hostile_in_every_way() -> None:
    honest, whole, expected = hostile.rows("http://web", 600)
    assert (len(honest), len(whole), len(set(whole))) == (480, 600, 600)
    assert sum(expected.values()) == 120 and expected["timeout"] == 120 * len(hostile.SLOW) // len(hostile.KINDS)


def test_every_reason_is_counted(tmp_path: Path) -> None:
    command = [sys.executable, str(measure.ROOT / "bench" / "hostile.py"), "--count", "150", "--timeout", "1"]
    done = subprocess.run([*command, "--out", str(tmp_path / "out.json")], check=True, capture_output=True, text=True)
    alone, whole = json.loads((tmp_path / "out.json").read_text())["cases"].values()
    assert "NOT" not in done.stdout and whole["samples"] == 120 and sum(whole["rejects"].values()) == 30
    assert alone["rejects"] == {} and alone["samples"] == 120
    assert whole["slow"] == 6 and whole["bound"] == alone["seconds"] + 1.0  # 6 URLs, 3 tries each: one wave of 64
