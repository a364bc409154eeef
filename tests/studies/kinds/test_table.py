"""The kinds of studies: their plans are sound at the demo's scale and at the papers'."""

import pytest

from tagmill.studies.kinds.table import KINDS
from tagmill.studies.kinds.vocabulary import halves
from tagmill.studies.plan.runs_of_arms import planned_runs
from tagmill.studies.plan.study_kind import LabelFacts, StudyFacts
from tagmill.studies.verdict.contrasts import check_claim
from tagmill.training.config.train import TrainConfig


def facts(samples: int, labels: int, model: str) -> StudyFacts:
    known = tuple(LabelFacts(f"l{n}", (f"n{n:08}",), samples // (n + 1)) for n in range(labels))
    return StudyFacts(samples, samples, model, labels=known)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "scale", [(9_000, 41, "test_resnet"), (3_500_000_000, 17_000, "resnext101_32x16d")], ids=["demo", "paper"]
)
def test_every_study_has_a_plan_whose_claims_can_be_judged(kind, scale) -> None:  # type: ignore[no-untyped-def]
    recipe, known = TrainConfig(batch_size=64), facts(*scale)
    arms = kind.arms(known)
    views = {arm.name: f"study-{arm.view.name}" if arm.view else "default" for arm in arms}
    runs = planned_runs(arms, views, kind.seeds, known.images, recipe)
    assert len({(run.arm, run.seed) for run in runs}) == len(runs) == len(arms) * kind.seeds
    by_view = {arm.view.name: arm.view for arm in arms if arm.view}
    assert all(arm.view is None or by_view[arm.view.name] == arm.view for arm in arms), "one name for two views"
    whole = {run.images for run in runs for arm in arms if arm.name == run.arm and not arm.note}
    assert len(whole) == 1 and all(images % 64 == 0 for images in whole)
    names = {arm.name for arm in arms}
    for claim in kind.claims(arms):
        check_claim(claim)
        assert set(claim.arms) <= names
        assert {name for size in claim.sizes for name in (size.minuend, size.subtrahend)} <= names
    assert arms[kind.natural].name in names


def test_halves_of_labels_have_like_frequencies_and_share_no_synset() -> None:
    labels = (*facts(1000, 9, "").labels, LabelFacts("other", ("n00000000", "n99999999"), 3))
    own, other = halves(labels)
    assert sorted(map(str, (*own, *other))) == sorted(map(str, labels))
    assert not {s for one in own for s in one.synsets} & {s for one in other for s in one.synsets}
