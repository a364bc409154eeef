"""The page of what studies found: figures and verdicts are those of the file."""

import json
from pathlib import Path

from tagmill.docs.generate.speed import RESULTS, newest
from tagmill.docs.generate.study_results import study_results_page
from tests.markdown import ROOT


def page_of(folder: Path, case: dict[str, object]) -> str:
    (folder / RESULTS).mkdir(parents=True)
    machine = {"cores": 2, "processor": "some"}
    found = {"date": "2030-01-01", "machine": machine, "cases": {"noise": case}}
    (folder / RESULTS / "studies-2030-01-01.json").write_text(json.dumps(found))
    return study_results_page(folder)


def test_arms_have_their_means_and_claims_their_verdicts(tmp_path: Path) -> None:
    arms = [
        {"name": "natural", "text": "as they are", "means": {"head_top1": [0.75, 0.01], "other": [1, 1]}},
        {"name": "failed", "text": "nothing", "means": {}},
    ]
    claim = {
        "text": "It falls.",
        "source": "a paper",
        "measure": "head_top1",
        "verdict": "cannot tell",
        "lines": ["a: -1", "b"],
    }
    measures = {"head_top1": "own", "other": "x"}
    case = {"title": "Noise", "seeds": 5, "seconds": 600, "arms": arms, "claims": [claim], "measures": measures}
    page = page_of(tmp_path, case)
    assert "## Noise (`noise`)" in page and "2 arms with 5 seeds each; the steps of all runs took 10 minutes" in page
    assert "| `natural`: as they are | 75.0 ± 1.0 |\n| `failed`: nothing | - |\n" in page and "other" not in page
    assert "* **Cannot tell** by `head_top1`: It falls. (a paper)\n    * a: -1\n    * b\n" in page
    shared = page_of(tmp_path / "shared", {**case, "seconds": None})
    assert "2 arms with 5 seeds each. Mean" in shared


def test_the_committed_page_has_every_study_of_its_file() -> None:
    path = newest(ROOT, "studies")
    page = study_results_page(ROOT)
    assert f"../../{RESULTS}/{path.name})" in page
    assert all(f"(`{name}`)" in page for name in json.loads(path.read_text())["cases"])
