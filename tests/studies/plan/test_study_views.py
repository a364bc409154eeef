"""The views of arms: the base view's rules with changes, made once and found again by their rules."""

import pytest

from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards import ConfigError, Corpus, View
from tagmill.shards.progress.protocol import Silent
from tagmill.studies.plan.arm import ArmView
from tagmill.studies.plan.study_views import facts_of, study_view
from tests.studies.tagged_pictures import WORDS, tagged_pictures


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tagged_pictures(tmp_path_factory.mktemp("views") / "corpus", 60, 12)


def test_facts_count_an_epoch_of_the_training_samples(corpus: str) -> None:
    facts = facts_of(Corpus.open(corpus), "default")
    assert (facts.name, facts.epoch, facts.labels) == ("default", 60, len(WORDS))


def test_an_arm_changes_the_rules_of_the_base_view_and_is_found_again(corpus: str) -> None:
    wanted = ArmView("noise-50", {"noise": 0.5})
    made = study_view(corpus, "default", wanted, Silent())
    recipe = View.open(Corpus.open(corpus), made.name).file.recipe
    base = View.open(Corpus.open(corpus), "default").file.recipe
    assert made.name == "study-noise-50" and recipe["noise"] == 0.5 and base["noise"] == 0
    assert recipe["match"] == base["match"] and made.classes == facts_of(Corpus.open(corpus), "default").classes
    before = Corpus.open(corpus).file
    assert study_view(corpus, "default", wanted, Silent()) == made and Corpus.open(corpus).file == before


def test_a_view_of_other_rules_keeps_its_name_and_the_arm_gets_another(corpus: str) -> None:
    view(ViewConfig(corpus=corpus, name="study-half", subset=0.25, min_count=2, processes=1))
    made = study_view(corpus, "default", ArmView("half", {"subset": 0.5}), Silent())
    assert made.name.startswith("study-half-") and 15 < made.epoch < 45
    assert View.open(Corpus.open(corpus), "study-half").file.recipe["subset"] == 0.25
    assert study_view(corpus, "default", ArmView("half", {"subset": 0.5}), Silent()) == made


def test_classes_can_be_a_part_of_the_labels(corpus: str) -> None:
    labels = View.open(Corpus.open(corpus), "default").vocabulary.labels
    kept = tuple("+".join(label.synsets) for label in labels[:3])
    made = study_view(corpus, "default", ArmView("narrow", labels=kept), Silent())
    found = View.open(Corpus.open(corpus), made.name).vocabulary.labels
    assert {label.synsets for label in found} == {label.synsets for label in labels[:3]}


def test_a_base_view_that_is_not_there_is_refused(corpus: str) -> None:
    with pytest.raises(Exception, match="nothing"):
        study_view(corpus, "nothing", ArmView("noise-10", {"noise": 0.1}), Silent())
    with pytest.raises(ConfigError):
        study_view(corpus, "default", ArmView("bad", {"noise": 2.0}), Silent())
