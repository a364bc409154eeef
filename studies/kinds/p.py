"""How many of the teacher's best labels of an image may select it."""

from tagmill.studies.kinds.k_per_class import per_class
from tagmill.studies.plan.arm import Arm, ArmView
from tagmill.studies.plan.study_kind import StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim

LABELS_OF_AN_IMAGE = (1, 2, 5, 10)


def _arms(facts: StudyFacts) -> tuple[Arm, ...]:
    per = per_class(facts)[-2]
    most = facts.scored_labels or LABELS_OF_AN_IMAGE[-1]
    return tuple(
        Arm(
            f"p-{number}",
            f"the {number} best labels of an image select it, at most {per:,} images a class",
            ArmView(f"p-{number}", selection={"k": per, "p": number}),
            x=number,
        )
        for number in LABELS_OF_AN_IMAGE
        if number <= most
    )


def _claims(arms: tuple[Arm, ...]) -> tuple[Claim, ...]:
    names, x = tuple(arm.name for arm in arms), tuple(arm.x for arm in arms)
    text = "P matters little; more than 1 helps rare classes, whose images may have another class as their best."
    source = "Yalniz et al. 2019, from secondary sources; the paper has P = 10"
    return (
        Claim(text, source, "rises", "probe_mean_class", names, x, "labels of an image that select it"),
        Claim(text, source, "above", "head_tail", (names[0], names[-1])),
    )


P = StudyKind(
    "p",
    "Labels of an image by which a teacher selects it",
    -1,
    5,
    _arms,
    _claims,
    ("A test of differences cannot show that a setting matters little: an interval around 0 only bounds its effect.",),
    needs_scores=True,
)
