"""Accuracy against the number of training images."""

from tagmill.studies.plan.arm import Arm, ArmView
from tagmill.studies.plan.study_kind import StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim

SCALED_PARTS = (8, 4, 2, 1)
"""The corpus is divided by these; a smaller part is part of a larger one."""


def part_view(part: int) -> ArmView | None:
    """Returns the view of 1 / `part` of the samples; None for all of them."""
    return None if part == 1 else ArmView(f"part-{part}", {"subset": 1 / part})


def _arms(facts: StudyFacts) -> tuple[Arm, ...]:
    return tuple(
        Arm(
            "all" if part == 1 else f"part-{part}",
            "all images" if part == 1 else f"1 / {part} of the images, the same number seen in training",
            part_view(part),
            x=facts.samples / part,
        )
        for part in SCALED_PARTS
    )


def _claims(arms: tuple[Arm, ...]) -> tuple[Claim, ...]:
    names, x = tuple(arm.name for arm in arms), tuple(arm.x for arm in arms)
    text = "Each time the number of training images is multiplied, accuracy rises by about the same amount."
    source = "Mahajan et al. 2018, verified from an excerpt; no slope is verified"
    note = "The paper trains longer on more images; here all runs see equally many, so small parts are repeated more often."
    return tuple(
        Claim(text, source, "rises", measure, names, x, "training images", note)
        for measure in ("probe_top1", "head_top1")
    )


SCALING = StudyKind(
    "scaling",
    "Accuracy against the number of training images",
    3,
    5,
    _arms,
    _claims,
    (
        "The line is over a factor of 8 in images; the paper's is over more than 1,000.",
        "Where a run sees its images many times, the ends of the line are repetition and not new images.",
    ),
)
