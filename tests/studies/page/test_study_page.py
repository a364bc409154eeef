"""The page of a study: what it shows, that no name does anything in it, and that a browser can show it."""

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tagmill.pages.standalone import PAGE_BYTES
from tagmill.studies.page.study_page import study_page
from tagmill.studies.plan.study_plan import PaperSize
from tagmill.studies.runs.study_result import StudyResult
from tagmill.studies.verdict.judge import judge_study
from tests.browse.chromium import Seen, chromium, listening, needs_chromium, new_page
from tests.browse.report.test_page import ATTACKS, Structure
from tests.studies.verdict.simulated import MEASURE, a_claim, a_study, arm_names, drawn, runs_of


def a_named_study(text: str, seeds: int = 5) -> StudyResult:
    """Returns a study with a failed run, in which every name and text has `text` at its end."""
    new = {name: f"{name}{text}" for name in arm_names(4)}
    measure = f"{MEASURE}{text}"
    size = PaperSize(new["arm0"], new["arm1"], None, 0.01, f"verified{text}")
    claims = [
        replace(each, text=f"{each.text}{text}", measure=measure, arms=tuple(new[arm] for arm in each.arms))
        for each in (a_claim("ordered", 4), a_claim("rises", 4, (8, 4, 2, 1)), a_claim("above", 2))
    ]
    claims[0] = replace(claims[0], sizes=(size,), note=f"a note{text}")
    runs = [
        replace(each, arm=new[each.arm], measures={measure: each.measures[MEASURE]}, run=f"{each.run}{text}")
        for each in runs_of(drawn([0.9, 0.7, 0.5, 0.49], seeds, 1)[0])
    ]
    runs[1] = replace(runs[1], measures={}, failed=f"the loss is not finite{text}")
    study = a_study(claims, runs, 4, seeds, text)
    arms = tuple(replace(each, name=new[each.name], view=f"default{text}") for each in study.arms)
    return replace(study, natural=new["arm0"], arms=arms, measures={measure: f"a measure{text}"})


def page_of(text: str) -> bytes:
    study = a_named_study(text)
    return study_page(study, judge_study(study))


@pytest.fixture(scope="module")
def plain() -> bytes:
    return page_of("")


def test_it_shows_the_papers_claims_verdicts_and_every_run(plain: bytes) -> None:
    page = plain.decode()
    for shown in (
        "a paper; verified",
        "<strong>disagrees</strong>",
        "in the paper less than 1.0 points [verified]; here +",
        "seeds for each arm find differences of",
        "the loss is not finite",
        "1 of 20 runs failed",
        "a note",
        "it cannot show what larger networks do",
        "labels of the probe are tags",
        "/corpora/a",
        "the line bends",
    ):
        assert shown in page, shown
    for arm in arm_names(4):
        for seed in range(5):
            assert page.count(f"<code>{arm}-{seed}</code>") == 1
    elements = Structure(plain).elements
    assert not {"script", "iframe", "object", "form"} & {each[0] for each in elements}
    assert len([each for each in elements if each[0] == "table"]) == page.count("<caption>")
    drawings = [each for each in elements if each[0] == "svg"]
    assert len(drawings) == 2 and all({"role", "aria-label"} <= set(each) for each in drawings)
    assert " style=" not in page


@pytest.mark.parametrize("text", ["".join(ATTACKS), ATTACKS[1]])
def test_no_name_changes_the_page(text: str, plain: bytes) -> None:
    found, known = Structure(page_of(f"x{text}")), Structure(plain)
    shapes = {"svg", "g", "path", "defs", "use", "clippath", "rect"}  # names are drawn as outlines
    assert [each for each in found.elements if each[0] not in shapes] == [
        each for each in known.elements if each[0] not in shapes
    ]
    assert all(each.startswith(("#", "data:,")) for each in found.addresses)
    hidden = [each for each in "".join(found.text) if unicodedata.category(each) in ("Cc", "Cf") and each != "\n"]
    assert not hidden


def test_one_seed_and_runs_that_all_failed_have_a_page() -> None:
    one = a_named_study("", 1)
    assert "one seed gives no interval" in study_page(one, judge_study(one)).decode()
    none = replace(one, results=tuple(replace(each, measures={}, failed="killed") for each in one.results))
    page = study_page(none, judge_study(none)).decode()
    assert "No finished run has a measure" in page and "4 of 4 runs failed" in page


def test_long_names_leave_a_bounded_page() -> None:
    assert len(page_of("<&\u202e" * 300)) < PAGE_BYTES


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Seen, str, list[str]]]:
    folder = tmp_path_factory.mktemp("page")
    with listening() as (address, requests):
        attack = f"<img src={address}/a><script src={address}/b></script><link rel=stylesheet href={address}/c>"
        file: Path = folder / "study.html"
        file.write_bytes(page_of(attack + "".join(ATTACKS) + "w" * 300))
        with chromium() as browser, new_page(browser) as seen:
            seen.page.goto(file.as_uri())
            yield seen, file.as_uri(), requests


@needs_chromium
@pytest.mark.timeout(300)
def test_a_browser_runs_nothing_asks_for_nothing_and_can_be_read(opened: tuple[Seen, str, list[str]]) -> None:
    seen, address, requests = opened
    assert seen.assert_readable() > 50
    assert seen.page.locator("svg.drawing").count() == 2
    assert not requests and seen.page.title() != "run"
    seen.assert_quiet(address)
