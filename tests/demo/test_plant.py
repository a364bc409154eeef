import hashlib
import re
from collections import Counter

import pytest

from tagmill.demo.concepts import BY_NAME, CONCEPTS
from tagmill.demo.plant import BROKEN, SHARES, UNUSUAL, evaluation_set, generator, plan
from tagmill.shards.errors import ConfigError


def test_a_plan_is_a_function_of_its_arguments() -> None:
    first = plan(5, 400, 40)
    assert first == plan(5, 400, 40)
    assert first != plan(6, 400, 40)


def test_the_default_plan_does_not_change() -> None:
    digest = hashlib.sha256(repr(plan(5, 400, 40)).encode()).hexdigest()
    assert digest == "85f05d24ad9b1715dd57689d8a3109b9818aa095e356811110262b39ceffb00d"


def test_frequencies_and_tags_follow_the_exponent() -> None:
    rows = [row for row in plan(1, 12_000, 1200, 1.1) if row.kind == "picture"]
    images = Counter(row.concept for row in rows)
    names = [concept.name for concept in CONCEPTS]
    assert images[names[0]] >= 40 * images[names[-1]] and images[names[-1]] >= 50
    words = {word.replace(" ", "").lower(): each.name for each in CONCEPTS for word in (*each.words, *each.plurals)}
    squashed = ({re.sub("[^a-z]", "", tag.lower()) for tag in row.tags} for row in rows)
    tagged = Counter(name for tags in squashed for name in {words[tag] for tag in tags if tag in words})
    assert tagged[names[0]] >= 30 * tagged[names[-1]], "although some tags name what is not in the image"
    equal = Counter(row.concept for row in plan(1, 3200, 32, 0) if row.kind == "picture")
    assert max(equal.values()) - min(equal.values()) <= 15, "but for broken answers"


@pytest.mark.parametrize("zipf", [-0.1, 2.1, float("nan"), float("inf")])
def test_an_invalid_exponent_raises_an_error(zipf: float) -> None:
    with pytest.raises(ConfigError, match="give 0"):
        plan(0, 1000, 10, zipf)


def test_shares_of_the_default_web() -> None:
    rows = plan(1, 3000, 300)
    kinds = Counter(row.kind for row in rows)
    assert [row.row for row in rows] == list(range(3000))
    assert {kind: kinds[kind] for kind in SHARES} == {
        "exact_copy": 240, "near_copy": 150, "leak_exact": 15, "leak_near": 15, "same_url": 15
    }  # fmt: skip
    assert sum(kinds[kind] for kind in BROKEN) == 90
    assert all(kinds[kind] in (11, 12) for kind in BROKEN)
    formats = Counter(row.format for row in rows if row.kind == "picture")
    assert [sum(formats[name] for name in names) for names in UNUSUAL] == [30] * 5
    concepts = Counter(row.concept for row in rows)
    assert max(concepts.values()) <= 0.09 * 3000 and min(concepts.values()) >= 0.015 * 3000


def test_every_repeat_refers_to_a_sound_image_of_the_same_concept() -> None:
    rows, held_out = plan(2, 1000, 64), {picture.file: picture for picture in evaluation_set(64)}
    for row in rows:
        if row.kind.startswith("leak"):
            assert row.of in held_out and row.concept == held_out[row.of].concept
        elif row.kind in SHARES:
            first = rows[int(row.of)]
            assert first.kind == "picture" and (first.concept, first.format) == (row.concept, row.format)
            assert (first.path == row.path) == (row.kind == "same_url")
            assert row.kind != "near_copy" or row.format == "jpeg"
        else:
            assert row.of == ""
        assert row.synset == BY_NAME[row.concept].synset
    repeated = [row for row in rows if row.kind in ("exact_copy", "same_url")]
    assert sum(row.tags != rows[int(row.of)].tags for row in repeated) > 0.8 * len(repeated)


def test_paths_differ_and_do_not_reveal_the_kind() -> None:
    rows = [row for row in plan(3, 1500, 50) if row.kind != "same_url"]
    assert len({row.path for row in rows}) == len({row.file for row in rows}) == len(rows)
    assert all(not any(word in row.path for word in (*BROKEN, *SHARES)) for row in rows)


def test_evaluation_set_is_balanced_and_generators_are_independent() -> None:
    counts = Counter(picture.concept for picture in evaluation_set(300))
    assert max(counts.values()) - min(counts.values()) <= 1
    draws = {generator(1, index, stream).integers(0, 2**60) for index in range(20) for stream in range(1, 5)}
    assert len(draws) == 80


@pytest.mark.parametrize(("seed", "rows", "evaluation"), [(0, 10, 10), (0, 1000, 0), (-1, 1000, 10)])
def test_invalid_numbers_raise_an_error(seed: int, rows: int, evaluation: int) -> None:
    with pytest.raises(ConfigError, match="at least"):
        plan(seed, rows, evaluation)
