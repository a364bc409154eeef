"""Whether more images are worth a longer schedule."""

from tagmill.studies.kinds.scaling import part_view
from tagmill.studies.plan.arm import Arm
from tagmill.studies.plan.study_kind import StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim

SHORT = 0.25
PART = 8


def _arms(facts: StudyFacts) -> tuple[Arm, ...]:
    said = f"sees {SHORT:.0%} of the images that the long schedule sees, which is what is compared"
    return tuple(
        Arm(
            f"{'all' if part == 1 else f'part-{part}'}-{'long' if share == 1 else 'short'}",
            f"{'all images' if part == 1 else f'1 / {part} of the images'}, {facts.images * share:,.0f} seen",
            part_view(part),
            share=share,
            x=facts.images * share,
            note="" if share == 1 else said,
        )
        for part in (PART, 1)
        for share in (SHORT, 1.0)
    )


def _claims(arms: tuple[Arm, ...]) -> tuple[Claim, ...]:
    small_short, small_long, all_short, all_long = (arm.name for arm in arms)
    gain = (all_short, all_long, small_short, small_long)
    text = "A longer schedule gains more on a larger corpus: with a short one, more images do not show."
    source = "Kolesnikov et al. 2019 (BiT), figure 7, verified"
    many = "Many iterations of pretraining are needed."
    yalniz = "Yalniz et al. 2019, recommendation 4, from a secondary source"
    return (
        *(Claim(text, source, "interaction", measure, gain) for measure in ("probe_top1", "head_top1")),
        Claim(many, yalniz, "above", "probe_top1", (all_short, all_long)),
    )


SCHEDULE = StudyKind(
    "schedule",
    "Short and long schedules on a part and on all of the images",
    3,
    5,
    _arms,
    _claims,
    ("The shape of the schedule is the recipe's in all arms, drawn out or compressed to the run's length.",),
)
