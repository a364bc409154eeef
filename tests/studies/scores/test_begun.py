"""Of several differences the most telling one is named."""

from dataclasses import replace

import pytest

from tagmill.studies.scores.begun import first_difference
from tagmill.studies.scores.score_files import ScoreFacts
from tests.studies.scores.test_score_files import FACTS


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (FACTS, ("", ("", ""))),
        (replace(FACTS, teacher={"name": "new", "digest": "cd"}, top=1), ("teacher.name", ("net", "new"))),
        (replace(FACTS, teacher={"name": "net", "digest": "cd"}, top=1), ("teacher.digest", ("ab", "cd"))),
        (replace(FACTS, corpus={"name": "c", "manifest": "x"}, batch=9), ("corpus.manifest", ("cd", "x"))),
        (replace(FACTS, device="cuda", samples=8), ("device", ("cpu", "cuda"))),
        (replace(FACTS, versions={"torch": "3"}), ("versions.torch", ("2", "3"))),
        (replace(FACTS, versions={"torch": "2", "timm": "1"}), ("versions.timm", ("nothing", "1"))),
        (replace(FACTS, teacher={"name": "a\x1b[31m\nb"}), ("teacher.name", ("net", "a\\x1b[31m\\nb"))),
    ],
)
def test_the_first_difference(other: ScoreFacts, says: tuple[str, tuple[str, str]]) -> None:
    assert first_difference(FACTS, other) == says
