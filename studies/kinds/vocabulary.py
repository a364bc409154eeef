"""A vocabulary of the classes that are judged, against one of all classes."""

from collections.abc import Mapping

from tagmill.studies.plan.arm import Arm, ArmView
from tagmill.studies.plan.study_kind import LabelFacts, StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim


def halves(labels: tuple[LabelFacts, ...]) -> tuple[tuple[LabelFacts, ...], tuple[LabelFacts, ...]]:
    """Divides labels into two parts of like frequencies: by falling images, alternately. Labels that share a synset are in one
    part."""
    order = sorted(labels, key=lambda label: (-label.images, label.synsets))
    part_of: dict[str, int] = {}
    parts: tuple[list[LabelFacts], list[LabelFacts]] = ([], [])
    following = 0
    for label in order:
        known = [part_of[synset] for synset in label.synsets if synset in part_of]
        part = known[0] if known else following
        following = following if known else 1 - following
        part_of.update(dict.fromkeys(label.synsets, part))
        parts[part].append(label)
    return tuple(parts[0]), tuple(parts[1])


def _arms(facts: StudyFacts) -> tuple[Arm, ...]:
    own, _ = halves(facts.labels)
    labels = tuple("+".join(label.synsets) for label in own)
    return (
        Arm("broad", "all labels"),
        Arm("narrow", f"{len(labels):,} labels, half of them", ArmView("narrow", {}, labels)),
    )


def _targets(facts: StudyFacts) -> Mapping[str, tuple[LabelFacts, ...]]:
    own, other = halves(facts.labels)
    return {"own": own, "other": other}


def _claims(arms: tuple[Arm, ...]) -> tuple[Claim, ...]:
    source = "Mahajan et al. 2018: 1.5k against 17k hashtags on ImageNet-1k and -9k, verified from an excerpt"
    return (
        Claim(
            "A narrow vocabulary gains on its own classes over a broad one, against the other classes (the interaction).",
            source,
            "above",
            "probe_own_minus_other",
            ("broad", "narrow"),
        ),
        Claim(
            "On the classes that it was chosen for, the narrow vocabulary is better.",
            source,
            "above",
            "probe_top1_own",
            ("broad", "narrow"),
        ),
        Claim(
            "On other classes the broad vocabulary is better, on ImageNet-9k by about 7 points.",
            source,
            "above",
            "probe_top1_other",
            ("narrow", "broad"),
        ),
    )


VOCABULARY = StudyKind(
    "vocabulary",
    "A narrow vocabulary against a broad one",
    0,
    5,
    _arms,
    _claims,
    (
        "Images without a label of the narrow vocabulary are not trained on; both arms see equally many images, so those "
        "of the narrow one are repeated more often.",
    ),
    targets=_targets,
)
