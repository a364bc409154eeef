"""The page of an audit: its figures, no images unless they are asked for, and that a browser can show it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagmill.bench.audit import world
from tagmill.transfer.audit.associations import Associations, associate
from tagmill.transfer.audit.audit_facts import audit_facts
from tagmill.transfer.audit.audit_page import IMAGES_EACH, FindingImages, audit_page, finding_images
from tagmill.transfer.outcome.canonical import canonical_json
from tests.browse.chromium import chromium, needs_chromium, new_page
from tests.browse.report.test_page import ATTACKS, Structure
from tests.transfer.drawn_set import drawn_set


@pytest.fixture(scope="module")
def found() -> Associations:
    return associate(world(np.random.default_rng(1), (60, 70), 6, points=0.5), permutations=199, draws=50)


def facts_of(found: Associations, text: str = "") -> dict[str, Any]:
    tested = tuple(replace(each, name=f"{each.name}{text}") for each in found.counts.tested)
    groups = tuple(f"{name}{text}" for name in found.counts.groups)
    named = replace(found, counts=replace(found.counts, tested=tested, groups=groups))
    facts = {
        "model": f"m{text}",
        "set": f"faces{text}",
        "attribute": f"colour{text}",
        "images": 9,
        "skipped": {"no_label": 2},
    }
    made: dict[str, Any] = json.loads(canonical_json(audit_facts(named, facts, 5)))
    return made


def test_it_has_all_groups_and_results_and_what_it_cannot_tell(found: Associations) -> None:
    facts = facts_of(found)
    page = audit_page(facts).decode()
    assert all(sentence.replace("'", "&#39;") in page for sentence in facts["cannot_tell"])
    first = facts["results"][0]["groups"][0]
    assert f"{100 * first['difference']:+.1f}" in page and page.count('<th scope="row">label') == 2 * 6
    assert "<img" not in page and "Images are not on this page" in page


def test_no_name_changes_the_page(found: Associations) -> None:
    named, plain = (Structure(audit_page(facts_of(found, text))) for text in ("".join(ATTACKS), "plain"))
    assert named.elements == plain.elements


def test_images_are_those_of_the_group_with_the_label(found: Associations) -> None:
    images, chance = drawn_set(2, 30, undecodable=[1]), np.random.default_rng(2)
    places, top = np.arange(1, 60), np.stack([chance.permutation(6)[:2] for _ in range(59)])
    groups = [found.counts.groups[place % 2] for place in places.tolist()]
    made = finding_images(found, images, places, top, groups)
    assert made and all(0 < len(each.images) <= IMAGES_EACH for each in made)
    row = {example.key: place - 1 for place, example in enumerate(images.examples)}
    for each in made:
        tested = next(one for one in found.counts.tested if one.name == each.name)
        for key, jpeg in each.images:
            assert groups[row[key]] == each.group and set(top[row[key]].tolist()) & set(tested.labels)
            assert (jpeg is None) == (key == images.examples[1].key)
    assert b"<img" in audit_page(facts_of(found), made)


@needs_chromium
@pytest.mark.timeout(300)
def test_a_browser_shows_it_on_a_narrow_screen(found: Associations, tmp_path: Path) -> None:
    file = tmp_path / "audit.html"
    shown = [FindingImages("label", "group", (("key", None),))]
    file.write_bytes(audit_page(facts_of(found, "".join(ATTACKS) + "w" * 300), shown))
    with chromium() as browser, new_page(browser) as seen:
        seen.page.goto(file.as_uri())
        assert seen.assert_readable() > 20
        seen.page.set_viewport_size({"width": 390, "height": 800})
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        seen.assert_quiet(file.as_uri())
