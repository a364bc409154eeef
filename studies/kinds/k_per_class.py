"""How many images of each class a teacher selects for its student."""

from tagmill.studies.plan.arm import Arm, ArmView
from tagmill.studies.plan.study_kind import StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim

K_PARTS = (16, 8, 4, 2)
"""K is an equal share of the training samples for each class, divided by 2 in each arm below the largest; an image may be
selected for several classes."""
PAPER_K = (4000, 8000, 16000, 32000)  # of 100 million images and 1,000 classes


def per_class(facts: StudyFacts) -> tuple[int, ...]:
    """Returns the four numbers K, ascending: with the paper's samples and classes or more of them a class, the paper's."""
    share = facts.samples / max(1, len(facts.labels))
    if share >= 2 * PAPER_K[-1]:
        return PAPER_K
    largest = max(1 << (len(K_PARTS) - 1), round(share))
    return tuple(max(1, largest * 2 // part) for part in K_PARTS)


def _arms(facts: StudyFacts) -> tuple[Arm, ...]:
    return tuple(
        Arm(
            f"k-{number}",
            f"the {number:,} best images of each class by the teacher's score",
            ArmView(f"k-{number}", selection={"k": number}),
            x=number,
        )
        for number in per_class(facts)
    )


def _claims(arms: tuple[Arm, ...]) -> tuple[Claim, ...]:
    names, x = tuple(arm.name for arm in arms), tuple(arm.x for arm in arms)
    text = "Accuracy rises with K, as images become more diverse, and falls when K brings wrong labels."
    source = "Yalniz et al. 2019: stable from 4,000 to 32,000 a class on YFCC100M, from secondary sources"
    return (Claim(text, source, "interior", "probe_top1", names, x),)


K_PER_CLASS = StudyKind(
    "k-per-class",
    "Images of each class that a teacher selects",
    2,
    5,
    _arms,
    _claims,
    ("Students are judged before they are fine-tuned on true labels, which the paper always does.",),
    needs_scores=True,
)
