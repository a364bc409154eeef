"""How far the settings that protocols take from papers are verified, for the report to say."""

from typing import Literal, NamedTuple

Verified = Literal["code", "paper", "not verified"]


class PaperSetting(NamedTuple):
    """A setting of a protocol and where it is from."""

    setting: str
    source: str
    verified: (
        Verified  # code: read in the authors' code; paper: read in the paper; not verified: from memory or missing
    )


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
            "RegNetY: 28 epochs, batch 256, learning rate 0.001, weight decay 0.001",
            "torchvision pull request 5793, by the authors",
            "code",
        ),
        PaperSetting("ViT: batch 1024, weight decay 1e-9", "torchvision pull request 5793, by the authors", "code"),
        PaperSetting("ViT: learning rate", "torchvision pull request 5793 is cut off there", "not verified"),
    ),
    "hyperrule": (
        PaperSetting(
            "BiT-HyperRule: steps, sizes, mixup, schedule by the size of the set", "BiT, section 3.3", "paper"
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


def paper_settings(protocol: str) -> tuple[PaperSetting, ...]:
    """Returns what a protocol takes from papers; nothing for one of ours, such as k-NN."""
    return VERIFIED.get(protocol, ())
