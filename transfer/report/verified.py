"""How far the settings that protocols take from papers are verified, for the report to say."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from tagmill.transfer.outcome.outcome import Outcome

Verified = Literal["code", "paper", "notes", "not verified"]


class PaperSetting(NamedTuple):
    """A setting of a protocol and where it is from."""

    setting: str
    source: str
    verified: Verified
    """code: read in the authors' code. paper: read in the paper. notes: read in notes of others on the paper. not verified: no
    source that could be read has it."""


_RULE = "BiT, and google-research/big_transfer"
_HYPERRULE = (
    PaperSetting(
        "BiT-HyperRule: 500, 10,000 or 20,000 steps of 512 images, mixup 0.1 from 20,000 images", _RULE, "paper"
    ),
    PaperSetting("SGD, learning rate 0.003, momentum 0.9, no weight decay, a last layer of zeros", _RULE, "paper"),
    PaperSetting(
        "small sets: rate drops at 40, 60 and 80 % of the steps (30, 60 and 90 % in the paper); warm-up of 100 or 500 steps",
        "google-research/big_transfer",
        "code",
    ),
    PaperSetting(
        "160 pixels and crops of 128 below 96 x 96; else 512 and crops of 480 (448 and 384 in the paper, but for R152x4)",
        "google-research/big_transfer",
        "code",
    ),
)
_NOTES = "notes of others on Yalniz 2019"
_YALNIZ = (
    PaperSetting(
        "30 epochs, learning rate 0.00025 for 256 images, times 0.1 three times at equal distances", _NOTES, "notes"
    ),
    PaperSetting("SGD, batch 1536, weight decay 1e-4", _NOTES, "notes"),
    PaperSetting("momentum 0.9", "Yalniz 2019", "not verified"),
    PaperSetting("random resized crops of 224 pixels, and flips", "Yalniz 2019", "not verified"),
)
"""What fine-tuning by `yalniz` takes from the paper."""

VERIFIED: dict[str, tuple[PaperSetting, ...]] = {
    "few-shot": (
        PaperSetting(
            "ridge regression on features, whitened with std + 1e-5, a constant 100, targets -1 and 1, l2 = 2^10",
            "big_vision evaluators/fewshot_lsr.py",
            "code",
        ),
        PaperSetting(
            "1, 5, 10 and 25 images a class, 3 seeds, 224 pixels from 256", "big_vision common_fewshot.py", "code"
        ),
    ),
    "swag-linear": (
        PaperSetting(
            "SGD, Nesterov momentum 0.9, a cosine to 0; random crops and flips, which features do not have",
            "torchvision pull request 5793, by the authors",
            "code",
        ),
        PaperSetting(
            "RegNetY: 28 epochs, batch 256, learning rate 0.001, weight decay 0.001",
            "torchvision pull request 5793, by the authors",
            "code",
        ),
        PaperSetting("ViT: batch 1024, weight decay 1e-9", "torchvision pull request 5793, by the authors", "code"),
        PaperSetting("ViT: learning rate", "torchvision pull request 5793 is cut off there", "not verified"),
    ),
    "hyperrule": _HYPERRULE,
    "few-shot-fine-tune": (
        *_HYPERRULE,
        PaperSetting(
            "so many images of each class by the rule of small sets (BiT's own draw of them is not reproduced, and here a step "
            "has each equally often, where BiT draws with replacement)",
            "google-research/big_transfer, --examples_per_class",
            "code",
        ),
    ),
    "fine-tune yalniz": (*_YALNIZ, PaperSetting("test images: 224 pixels of 256", "Yalniz 2019", "not verified")),
    "fine-tune swag": (
        PaperSetting(
            "384 pixels for RegNetY and ViT-B/16, 512 for ViT-L/16, 518 for ViT-H/14", "SWAG's repository", "code"
        ),
        PaperSetting(
            "test images: short side to the size, bicubic, and its centre",
            "SWAG's repository, imagenet_1k_eval.py",
            "code",
        ),
        PaperSetting(
            "steps, learning rate, weight decay and crops in training: those of Yalniz 2019", "SWAG", "not verified"
        ),
    ),
    "linear": (
        PaperSetting(
            "a linear logistic regression on frozen features is the paper's feature transfer",
            "Mahajan 2018, as quoted by others",
            "not verified",
        ),
    ),
}


def paper_settings(outcome: Outcome) -> tuple[PaperSetting, ...]:
    """Returns what a protocol takes from papers; nothing for one of ours, such as k-NN. What fine-tuning takes depends on its
    recipe."""
    recipe = outcome.settings.get("recipe")
    named = f" {recipe['name']}" if outcome.protocol == "fine-tune" and isinstance(recipe, Mapping) else ""
    return VERIFIED.get(outcome.protocol + named, ())
