"""The page on VTAB: its figures, and that no name does anything in it."""

import html
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagmill.training.trained.model import Trained
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.report.report_facts import Judged
from tagmill.transfer.vtab.task_runs import TaskSets
from tagmill.transfer.vtab.vtab_facts import vtab_values
from tagmill.transfer.vtab.vtab_means import vtab_means
from tagmill.transfer.vtab.vtab_options import VtabOptions
from tagmill.transfer.vtab.vtab_page import vtab_page
from tests.browse.chromium import chromium, needs_chromium, new_page
from tests.browse.report.test_page import ATTACKS, Structure
from tests.transfer.drawn_set import drawn_set
from tests.transfer.vtab.test_vtab_means import outcome


def values_of(text: str = "") -> dict[str, Any]:
    """The values of two tasks, one with a split of ours; `text` is in every name that comes from outside."""
    rights, images = {"svhn": 3, "kitti": 9}, drawn_set(2, 2)
    sets = {name: TaskSets(images, None, images, ours=name == "svhn") for name in rights}
    found = {
        name: Judged(
            replace(
                outcome(right),
                settings={"train": f"set{text}", "seed": 0},
                skipped={f"reason{text}": 2},
                set=f"s{text}",
            ),
            "0" * 64,
            f"outcomes/{name}{text}.parquet",
        )
        for name, right in rights.items()
    }
    means = vtab_means({name: each.outcome for name, each in found.items()}, ("svhn",))
    trained = Trained(f"m{text}", {}, f"network{text}", {})
    options = VtabOptions(model=f"model{text}", tasks="t", output="o", protocol="fine-tune")
    made: dict[str, Any] = json.loads(canonical_json(vtab_values(trained, options, sets, found, means)))
    return made


def test_it_has_tasks_with_intervals_groups_settings_and_what_differs() -> None:
    values = values_of()
    page = " ".join(html.unescape(vtab_page(values).decode()).split())
    for each in values["tasks"]:
        top1 = each["top1"]
        assert f"{100 * top1['value']:.1f}</td>" in page
        assert f"{100 * top1['low']:.1f} to {100 * top1['high']:.1f}" in page and each["title"] in page
    assert '1 of 7</td><td class="n">30.0' in page and '0 of 4</td><td class="n">-' in page
    assert '1 of 8</td><td class="n">90.0' in page and "mean of the groups" in page and "VTAB-like" in page
    assert "17 of 19 tasks are absent" in page and "in the paper" in page and "not verified" in page
    assert all(sentence in page for sentence in values["differs"]) and len(values["differs"]) == 4
    assert "<svg" in page and "<img" not in page and "<script" not in page


def test_no_name_changes_the_page() -> None:
    named, plain = (Structure(vtab_page(values_of(text))) for text in ("".join(ATTACKS), "plain"))
    assert named.elements == plain.elements


@needs_chromium
@pytest.mark.timeout(300)
def test_a_browser_shows_it_on_a_narrow_screen(tmp_path: Path) -> None:
    file = tmp_path / "vtab.html"
    file.write_bytes(vtab_page(values_of("".join(ATTACKS) + "w" * 300)))
    with chromium() as browser, new_page(browser) as seen:
        seen.page.goto(file.as_uri())
        assert seen.assert_readable() > 20
        seen.page.set_viewport_size({"width": 390, "height": 800})
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        seen.assert_quiet(file.as_uri())
