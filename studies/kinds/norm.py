"""Batch normalisation against group normalisation with weight standardisation."""

from tagmill.studies.plan.arm import Arm
from tagmill.studies.plan.study_kind import StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim

WIDTH = {"width_factor": 0.5}  # the narrowest for which every layer has 32 channels or more, so that it has 32 groups


def _arms(facts: StudyFacts) -> tuple[Arm, ...]:
    batch, group = facts.models if len(facts.models) == 2 else ("resnetv2_50", "resnetv2_50x1_bit")
    return (
        Arm("batch-norm", f"{batch}, batch normalisation", train={"model": batch, "model_args": WIDTH}),
        Arm(
            "group-norm",
            f"{group}, group normalisation, standardised weights",
            train={"model": group, "model_args": WIDTH},
        ),
    )


def _claims(arms: tuple[Arm, ...]) -> tuple[Claim, ...]:
    text = (
        "With large batches, group normalisation with standardised weights transfers better than batch normalisation."
    )
    source = "Kolesnikov et al. 2019 (BiT): 70.39 against 67.72 on VTAB at a batch of 4,096, verified"
    note = "The paper's advantage is that of large batches over many devices; one process with a small batch has none of it."
    return tuple(
        Claim(text, source, "above", measure, ("batch-norm", "group-norm"), note=note)
        for measure in ("probe_top1", "head_top1")
    )


NORM = StudyKind(
    "norm",
    "Group normalisation with standardised weights, and batch normalisation",
    0,
    5,
    _arms,
    _claims,
    (
        "The two networks of timm have the same blocks and width, but initial convolutions with other padding.",
        "Both networks have the recipe's learning rate, which may suit one of them better.",
        "Networks of half the width are compared, whose group normalisation has as few as one channel a group.",
    ),
)
