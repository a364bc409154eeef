"""The benchmark of selections runs at a small size, and chooses K images of each class."""

import json
import subprocess
import sys
from pathlib import Path

from tagmill.bench import measure


def test_it_runs_and_writes_its_figures(tmp_path: Path) -> None:
    command = [sys.executable, str(measure.ROOT / "bench" / "teach.py"), "--quick", "--out", str(tmp_path / "out.json")]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads((tmp_path / "out.json").read_text())
    runs = [run for case in found["cases"].values() for run in case["runs"]]
    assert [run["chosen"] for run in runs] == [2_000, 20_000] and found["name"] == "teach" and found["machine"]
    assert found["ratios"]["seconds, last size / first size"] > 0 and all(run["peak_gib"] > 0 for run in runs)
