"""The seven arms: which stages they share, in which order they are made, and which rate is chosen."""

from hypothesis import given
from hypothesis import strategies as st

from tagmill.studies.chain.arms import LABELS, TAGS, TAGS_TUNED, best_rate, chain_arms, chain_claims, stages_of
from tagmill.studies.chain.stage import Stage


def test_no_stage_is_made_twice_or_before_what_it_needs() -> None:
    stages = stages_of(chain_arms())
    assert len(stages) == len(set(stages)) == 9
    for place, stage in enumerate(stages):
        assert set(stage.needs) <= set(stages[:place])


def test_the_teachers_are_the_networks_of_two_arms() -> None:
    arms = {arm.name: arm.last for arm in chain_arms()}
    teachers = {name: arms[name].selection.teacher for name in ("semi-student", "semi-weakly-student")}  # type: ignore[union-attr]
    assert teachers == {"semi-student": arms["labels"], "semi-weakly-student": arms["tags"]}


def below(stage: Stage) -> set[Stage]:
    return {stage}.union(*map(below, stage.needs))


def test_labels_alone_and_the_semi_supervised_student_see_no_tag() -> None:
    arms = {arm.name: arm.last for arm in chain_arms()}
    blind = {name for name, last in arms.items() if TAGS not in below(last) and not uses_tags(last)}
    assert blind == {"labels", "semi", "semi-student"}


def uses_tags(last: Stage) -> bool:
    return any(each.selection is not None and each.selection.by == "tags" for each in below(last))


def test_students_are_fine_tuned_on_true_labels_only() -> None:
    assert all(stage.learns == "labels" for stage in stages_of(chain_arms()) if stage.fine_tuning)
    assert not LABELS.fine_tuning and TAGS_TUNED.fine_tuning


def test_claims_are_about_arms_that_are_there() -> None:
    names = {arm.name for arm in chain_arms()}
    assert all(set(claim.arms) <= names for claim in chain_claims())


@given(st.dictionaries(st.floats(1e-4, 1.0), st.none() | st.sampled_from([0.2, 0.5, 0.9]), max_size=4))
def test_the_best_rate_is_the_lowest_of_those_with_the_highest_accuracy(accuracy: dict[float, float | None]) -> None:
    chosen = best_rate(accuracy)
    judged = [(value, -rate) for rate, value in accuracy.items() if value is not None]
    assert chosen == (-max(judged)[1] if judged else None)
