"""The page of what studies found: figures and verdicts are those of the file."""

import json
from pathlib import Path

from tagmill.docs.generate.speed import RESULTS, files_of
from tagmill.docs.generate.study_results import study_results_page
from tests.markdown import ROOT


def page_of(folder: Path, case: dict[str, object]) -> str:
    write(folder, "2030-01-01", {"noise": case})
    return study_results_page(folder)


def write(folder: Path, date: str, cases: dict[str, object]) -> None:
    (folder / RESULTS).mkdir(parents=True, exist_ok=True)
    found = {"date": date, "machine": {"cores": 2, "processor": "some"}, "cases": cases}
    (folder / RESULTS / f"studies-{date}.json").write_text(json.dumps(found))


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


def test_each_study_is_from_the_newest_file_that_has_it(tmp_path: Path) -> None:
    empty = {"seeds": 2, "seconds": None, "arms": [], "claims": [], "measures": {}}
    write(tmp_path, "2030-01-01", {"noise": {**empty, "title": "Old"}, "scaling": {**empty, "title": "Scaling"}})
    write(tmp_path, "2030-01-02", {"noise": {**empty, "title": "New"}, "loss": {**empty, "title": "Loss"}})
    page = study_results_page(tmp_path)
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        *("## Loss (`loss`)", "## New (`noise`)", "## Scaling (`scaling`)"),
    ]
    assert page.count("studies-2030-01-02.json") == 2 and page.count("studies-2030-01-01.json") == 1


def test_the_committed_page_has_every_study_of_every_file() -> None:
    page = study_results_page(ROOT)
    for path in files_of(ROOT, "studies"):
        assert all(f"(`{name}`)" in page for name in json.loads(path.read_text())["cases"])
    assert f"../../{RESULTS}/{files_of(ROOT, 'studies')[-1].name})" in page
