"""Accuracy against the share of labels that are wrong."""

from tagmill.studies.plan.arm import Arm, ArmView
from tagmill.studies.plan.study_kind import StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim, PaperSize

SHARES = (0.10, 0.25, 0.50)


def _arms(facts: StudyFacts) -> tuple[Arm, ...]:
    noisy = (
        Arm(
            f"noise-{share:.0%}".rstrip("%"),
            f"{share:.0%} of the training labels replaced by draws from the marginal distribution",
            ArmView(f"noise-{share:.0%}".rstrip("%"), {"noise": share}),
            x=share,
        )
        for share in SHARES
    )
    return (Arm("natural", "the labels as they are"), *noisy)


def _claims(arms: tuple[Arm, ...]) -> tuple[Claim, ...]:
    names = tuple(arm.name for arm in arms)
    text = (
        "Accuracy falls with the share of labels that are replaced: at 10 % by less than 1 point, at 25 % by about 2."
    )
    source = "Mahajan et al. 2018, 32x16d on IG-1B-17k: 10 % and 25 % verified from an excerpt; 50 % unverified"
    note = (
        "Only the order is claimed. A small corpus loses more: a measurement on the demo's 2,500 images lost about 20 points "
        "at 25 %."
    )
    paper = "Mahajan et al. 2018, feature transfer, verified from an excerpt"
    sizes = (
        PaperSize("natural", "noise-10", None, 0.01, f"{paper}: less than 1 point"),
    )  # "around 2 points" at 25 % is no bound
    return (
        Claim(text, source, "ordered", "probe_top1", names, note=note, sizes=sizes),
        Claim(text, source, "ordered", "head_top1", names, note=note),
    )


NOISE = StudyKind(
    "noise",
    "Accuracy against wrong labels",
    0,
    5,
    _arms,
    _claims,
    (
        "Labels that are tags are wrong at times before any are replaced, so 0 % is not without errors.",
        "The paper's network sees each of a billion images about once; here images are repeated, and wrong labels can be "
        "learnt by heart: compare accuracy on the training images' replaced and original labels.",
    ),
    training_accuracy=True,
)
