"""Losses for images with several labels."""

from tagmill.studies.plan.arm import Arm
from tagmill.studies.plan.study_kind import StudyFacts, StudyKind
from tagmill.studies.plan.study_plan import Claim


def _arms(facts: StudyFacts) -> tuple[Arm, ...]:
    return (
        Arm("softmax", "softmax, a target of 1/k on each of an image's k labels", train={"loss": "softmax"}),
        Arm("sigmoid", "one sigmoid a label, with a bias of -10 at the start", train={"loss": "sigmoid"}),
        Arm(
            "softmax-idf",
            "softmax, the target divided by inverse document frequencies, so that rare labels count more",
            train={"loss": "softmax", "label_weights": "idf"},
        ),
    )


def _claims(arms: tuple[Arm, ...]) -> tuple[Claim, ...]:
    text = "Softmax with targets of 1/k transfers better than a sigmoid for each label."
    source = "Mahajan et al. 2018, unverified; SuperClass (2411.03313, table 6): 75.6 against 73.6, from notes"
    idf = "Weights by inverse document frequency are a little better than equal ones."
    superclass = "SuperClass (2411.03313, table 7): 76.0 against 75.6, from notes, on words of captions"
    return (
        *(Claim(text, source, "above", measure, ("sigmoid", "softmax")) for measure in ("probe_top1", "head_top1")),
        Claim(idf, superclass, "above", "probe_top1", ("softmax", "softmax-idf")),
    )


LOSS = StudyKind(
    "loss",
    "Softmax, sigmoids, and weights of the labels",
    0,
    5,
    _arms,
    _claims,
    (
        "All losses have the recipe's learning rate, which was chosen for one of them; a loss that wants another is at a "
        "disadvantage.",
        "Where most images have one label, weights of the labels change little.",
    ),
)
