"""Each rule speaks just above its limit, is silent at it, and names what helps."""

from collections.abc import Callable

import pytest

from tagmill.shards.terminal import advice

RULES = [
    (lambda: advice.on_no_label(0, 1), lambda: advice.on_no_label(1, 1), "no label", "tagmill corpus view"),
    (lambda: advice.on_unlabelled(51, 100), lambda: advice.on_unlabelled(50, 100), "51%", "--compounds"),
    (lambda: advice.on_one_label("dog", 21, 100), lambda: advice.on_one_label("dog", 20, 100), "21%", "--resample"),
    (lambda: advice.on_rare_labels(11, 100), lambda: advice.on_rare_labels(10, 100), "11 of 100", "--min-count 10"),
    (lambda: advice.on_copies(31, 100), lambda: advice.on_copies(30, 100), "31%", "other lists"),
    (
        lambda: advice.on_shard_size(16 * 31_000_000, 16),
        lambda: advice.on_shard_size(16 * 32_000_000, 16),
        "31.0 MB on average",
        "larger --shard-samples",
    ),
    (
        lambda: advice.on_shard_size(4_100_000_000, 1),
        lambda: advice.on_shard_size(4_000_000_000, 1),
        "4.1 GB",
        "smaller",
    ),
    (lambda: advice.on_unpurged(5, 2), lambda: advice.on_unpurged(5, 5), "bytes of 3 samples", "--purge"),
    (lambda: advice.on_exports(2), lambda: advice.on_exports(0), "2 exports may have", "run again"),
    (lambda: advice.on_memory(65 * 10**9, 64 * 10**9), lambda: advice.on_memory(64, 64), "need 65.0 GB", "--window"),
]


@pytest.mark.parametrize(("above", "at", "says", "helps"), RULES)
def test_a_rule(above: Callable[[], str | None], at: Callable[[], str | None], says: str, helps: str) -> None:
    text = above()
    assert text is not None and says in text and helps in text and text.endswith(".")
    assert at() is None


def test_nothing_is_said_of_an_empty_corpus_or_an_unknown_machine() -> None:
    nothing = [advice.on_no_label(0, 0), advice.on_unlabelled(0, 0), advice.on_one_label("", 0, 0)]
    nothing += [advice.on_rare_labels(0, 0), advice.on_copies(0, 0), advice.on_shard_size(0, 0), advice.on_memory(9, 0)]
    assert advice.given(*nothing) == []


def test_few_small_shards_are_those_of_a_small_corpus() -> None:
    assert advice.on_shard_size(15, 15) is None


def test_the_labels_of_a_view() -> None:
    assert advice.on_labels([("dog", 10), ("cat", 12)], 100) == []
    assert len(advice.on_labels([("dog", 9), ("a\x1bb", 90)], 100)) == 2
    assert advice.on_labels([], 100) == advice.given(advice.on_no_label(0, 100))
    assert "'a\\x1bb' is on 90%" in " ".join(advice.on_labels([("dog", 9), ("a\x1bb", 90)], 100))
