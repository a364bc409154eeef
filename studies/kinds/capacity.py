"""Whether a larger network gains more from more images."""

from tagmill.shards import ConfigError
from tagmill.studies.kinds.scaling import part_view
from tagmill.studies.plan.arm import Arm
from tagmill.studies.plan.study_kind import StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim

CAPACITY_PARTS = (8, 2, 1)
LARGER = {
    "test_resnet": "resnet10t",
    "resnet10t": "resnet18",
    "resnet18": "resnet34",
    "resnet34": "resnet50",
    "resnet50": "resnet101",
    "resnext101_32x4d": "resnext101_32x8d",
    "resnext101_32x8d": "resnext101_32x16d",
    "resnext101_32x16d": "resnext101_32x32d",
    "resnext101_32x32d": "resnext101_32x48d",
    "vit_base_patch16_224": "vit_large_patch16_224",
}
"""The network that a recipe's is compared with, where none is asked for."""


def networks(facts: StudyFacts) -> tuple[str, ...]:
    """Returns two or more networks, the smallest first. Raises ConfigError where there is one."""
    found = facts.models or tuple(filter(None, (facts.model, LARGER.get(facts.model))))
    if len(set(found)) < 2 or len(set(found)) < len(found):
        what = f"one network, {facts.model}, or one that is named twice: {', '.join(found)}"
        raise ConfigError(what, "study capacity", "give two with --models, the smaller one first, as timm names them")
    return found


def _arms(facts: StudyFacts) -> tuple[Arm, ...]:
    return tuple(
        Arm(
            f"{model}-{'all' if part == 1 else f'part-{part}'}",
            f"{model}, {'all images' if part == 1 else f'1 / {part} of the images'}",
            part_view(part),
            {"model": model},
            x=facts.samples / part,
        )
        for model in networks(facts)
        for part in CAPACITY_PARTS
    )


def _claims(arms: tuple[Arm, ...]) -> tuple[Claim, ...]:
    names = [arm.name for arm in arms]
    small, large = names[: len(CAPACITY_PARTS)], names[-len(CAPACITY_PARTS) :]
    text = "A larger network gains more from more images than a smaller one."
    source = "Mahajan et al. 2018: 32x16d steeper than 32x8d and 32x4d, verified from an excerpt"
    note = "All arms have the learning rate of the recipe, which may suit one network better."
    gains = (large[0], large[-1], small[0], small[-1])
    return (
        *(Claim(text, source, "interaction", measure, gains, note=note) for measure in ("probe_top1", "head_top1")),
        Claim("With all images the larger network is better.", source, "above", "probe_top1", (small[-1], large[-1])),
    )


CAPACITY = StudyKind(
    "capacity",
    "Networks of two sizes against the number of training images",
    len(CAPACITY_PARTS) - 1,
    5,
    _arms,
    _claims,
    ("Two networks are no scale of capacity: they differ in more than their number of weights.",),
)
