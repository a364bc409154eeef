"""Accuracy against how often images of rare labels are seen."""

from tagmill.studies.plan.arm import Arm, ArmView
from tagmill.studies.plan.study_kind import StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim


def _arms(facts: StudyFacts) -> tuple[Arm, ...]:
    half = max(1, facts.samples // 2)
    return (
        Arm("natural", "each image once an epoch", ArmView("natural", {"resample": "natural", "epoch_samples": None})),
        Arm("sqrt", "repeats by the root of a label's rarity; an epoch of twice the images", _view("sqrt")),
        Arm("uniform", "repeats by a label's rarity; an epoch of twice the images", _view("uniform")),
        Arm(
            "cap",
            "images of frequent labels with probability t / count; an epoch of half the images",
            ArmView("cap", {"resample": "cap", "epoch_samples": half}),
        ),
    )


def _view(rule: str) -> ArmView:
    return ArmView(rule, {"resample": rule, "epoch_samples": None})


def _claims(arms: tuple[Arm, ...]) -> tuple[Claim, ...]:
    paper = "Sampling hashtags by the root of their frequency, or uniformly, transfers better than natural sampling."
    source = (
        "Mahajan et al. 2018: 5 to 6 points on ImageNet, from secondary sources; the scheme itself is verified in code"
    )
    mean = "Top-1 accuracy on the corpus's own distribution favours natural sampling; the mean over classes shows rare labels."
    capped = "Thinning out the images of frequent labels transfers better than all of them."
    meta = "Xu et al. 2024 (MetaCLIP), on image-text pairs; the size of the effect on tags is unverified"
    return (
        *(
            Claim(paper, source, "above", "probe_mean_class", ("natural", rule), note=mean)
            for rule in ("sqrt", "uniform")
        ),
        *(
            Claim(paper, source, "above", "head_mean_class", ("natural", rule), note=mean)
            for rule in ("sqrt", "uniform")
        ),
        *(Claim(paper, source, "above", "probe_top1", ("natural", rule), note=mean) for rule in ("sqrt", "uniform")),
        Claim(capped, meta, "above", "probe_mean_class", ("natural", "cap")),
    )


RESAMPLING = StudyKind(
    "resampling",
    "Rare labels seen more often, or frequent ones less often",
    0,
    6,
    _arms,
    _claims,
    ("Where labels differ little in frequency, resampling changes little: compare the counts of the corpus.",),
)
