"""The bench of a large corpus that is looked into: a small one of the same form answers."""

from pathlib import Path

from tagmill.bench import browse


def test_a_small_corpus_of_the_same_form_is_measured(tmp_path: Path) -> None:
    browse.make(tmp_path, 5)
    for what in [*browse.PATHS, "info"]:  # the rarest label is checked to fill its page
        found = browse.measure(str(tmp_path / "corpus"), what)
        assert set(found) == {"seconds", "mb"}
