"""The seven arms of teacher and student, as Yalniz et al. 2019 compare them, and the order of their stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagmill.studies.chain.stage import Selection, SelectionBy, Stage
from tagmill.studies.plan.study_plan import Claim

LABELS = Stage("labels")
TAGS = Stage("tags")
TAGS_TUNED = Stage("labels", TAGS)
MEASURE = "head_top1"
_SOURCE = "Yalniz et al. 2019, from secondary sources"


@dataclass(frozen=True)
class ChainArm:
    """An arm: the network of its last stage is judged."""

    name: str
    text: str  # one line for people
    last: Stage


def _student(teacher: Stage, by: SelectionBy = "teacher") -> Stage:
    return Stage("chosen", selection=Selection(by, teacher))


def chain_arms() -> tuple[ChainArm, ...]:
    """Returns the arms, the one that is nothing but the labels first."""
    semi, weakly, random = _student(LABELS), _student(TAGS_TUNED), _student(TAGS_TUNED, "tags")
    return (
        ChainArm("labels", "the true labels alone", LABELS),
        ChainArm("semi", "a teacher of the true labels, its student, fine-tuned on them", Stage("labels", semi)),
        ChainArm("semi-student", "the same student, not fine-tuned", semi),
        ChainArm("semi-weakly", "a teacher of tags and true labels, its student, fine-tuned", Stage("labels", weakly)),
        ChainArm("semi-weakly-student", "the same student, not fine-tuned", weakly),
        ChainArm("random-tags", "a student of random images with a matching tag, fine-tuned", Stage("labels", random)),
        ChainArm("tags", "trained on tags and fine-tuned, without a teacher", TAGS_TUNED),
    )


def chain_claims() -> tuple[Claim, ...]:
    """Returns what the paper found, as comparisons of arms."""
    return (
        _above("A student is above a network of the true labels alone.", "labels", "semi"),
        _above("A teacher that also learnt from tags makes a better student.", "semi", "semi-weakly"),
        _above("Fine-tuning the student on true labels helps.", "semi-student", "semi"),
        _above("So it does after a teacher of tags.", "semi-weakly-student", "semi-weakly"),
    )


def _above(text: str, lower: str, higher: str) -> Claim:
    return Claim(text, _SOURCE, "above", MEASURE, (lower, higher))


def stages_of(arms: Sequence[ChainArm]) -> tuple[Stage, ...]:
    """Returns every stage of the arms once, each behind those that it needs."""
    found = dict[Stage, None]()

    def add(stage: Stage) -> None:
        for each in stage.needs:
            add(each)
        found.setdefault(stage)

    for arm in arms:
        add(arm.last)
    return tuple(found)


def best_rate(accuracy: Mapping[float, float | None]) -> float | None:
    """Returns the learning rate with the highest accuracy on validation samples, of equal ones the lowest; None where every run
    diverged, whose accuracy is None."""
    judged = {rate: value for rate, value in accuracy.items() if value is not None}
    return min(judged, key=lambda rate: (-judged[rate], rate)) if judged else None
