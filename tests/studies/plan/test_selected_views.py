"""The views of arms that scores select: made by the selection, found again, and apart where they differ."""

from pathlib import Path

import pytest

from tagmill.shards import ConfigError, Corpus, View
from tagmill.shards.progress.protocol import Silent
from tagmill.studies.plan.arm import ArmView
from tagmill.studies.plan.study_views import study_view
from tagmill.studies.scores.score_files import Scores, open_scores
from tests.browse.worded import make_worded
from tests.studies.selection.scored import write_scores
from tests.studies.selection.test_selected_view import ROWS


@pytest.fixture
def scores(tmp_path: Path) -> Scores:
    corpus = make_worded(tmp_path / "corpus")
    return open_scores(write_scores(str(tmp_path / "scores"), corpus, ROWS))


def test_a_selected_view_is_made_once_and_another_selection_has_another_name(tmp_path: Path, scores: Scores) -> None:
    corpus = f"{tmp_path}/corpus"
    wanted = ArmView("k-2", selection={"k": 2})
    made = study_view(corpus, "default", wanted, Silent(), scores)
    recipe = View.open(Corpus.open(corpus), made.name).file.recipe["labels"]
    assert made.name == "study-k-2" and made.labels == 4 and 0 < made.epoch <= 8
    assert (recipe["k"], recipe["p"], recipe["scores"]) == (2, 3, scores.digest)
    assert study_view(corpus, "default", wanted, Silent(), scores) == made
    other = study_view(corpus, "default", ArmView("k-2", selection={"k": 2, "p": 1}), Silent(), scores)
    assert other.name.startswith("study-k-2-") and other.digest != made.digest
    assert View.open(Corpus.open(corpus), other.name).file.recipe["labels"]["p"] == 1
    assert set(Corpus.open(corpus).file.views) == {"default", made.name, other.name}


def test_without_scores_and_with_more_labels_than_they_have_it_is_refused(tmp_path: Path, scores: Scores) -> None:
    with pytest.raises(ConfigError, match=r"and there are none .*give --scores"):
        study_view(f"{tmp_path}/corpus", "default", ArmView("k-2", selection={"k": 2}), Silent())
    with pytest.raises(ConfigError, match="above the 3 labels"):
        study_view(f"{tmp_path}/corpus", "default", ArmView("p-4", selection={"k": 2, "p": 4}), Silent(), scores)
