"""The tasks of VTAB: their groups, and where BiT fine-tunes differently."""

from dataclasses import dataclass
from typing import Literal

from tagmill.shards import ConfigError
from tagmill.shards.terminal.safe_text import safe_text

VtabGroup = Literal["natural", "specialized", "structured"]
VTAB_GROUPS: tuple[VtabGroup, ...] = ("natural", "specialized", "structured")


@dataclass(frozen=True)
class VtabTask:
    """A task of VTAB."""

    folder: str  # its name in the task lists that people have
    title: str
    group: VtabGroup
    classes: int
    flip: bool = True  # whether BiT mirrors its training images at random (1912.11370v3, appendix F)
    crop: bool = True  # whether BiT crops them at random, else they are resized to the size of a crop (there)


VTAB_TASKS = (
    VtabTask("caltech101", "Caltech101", "natural", 102),
    VtabTask("cifar", "CIFAR-100", "natural", 100),
    VtabTask("dtd", "DTD", "natural", 47),
    VtabTask("oxford_flowers102", "Flowers102", "natural", 102),
    VtabTask("oxford_iiit_pet", "Pets", "natural", 37),
    VtabTask("sun397", "Sun397", "natural", 397),
    VtabTask("svhn", "SVHN", "natural", 10),
    VtabTask("patch_camelyon", "Camelyon", "specialized", 2),
    VtabTask("eurosat", "EuroSAT", "specialized", 10),
    VtabTask("resisc45", "Resisc45", "specialized", 45),
    VtabTask("diabetic_retinopathy", "Retinopathy", "specialized", 5),
    VtabTask("clevr_count", "Clevr-Count", "structured", 8, crop=False),
    VtabTask("clevr_dist", "Clevr-Dist", "structured", 6, crop=False),
    VtabTask("dmlab", "DMLab", "structured", 6, crop=False),
    VtabTask("kitti", "KITTI-Dist", "structured", 4, crop=False),
    VtabTask("dsprites_loc", "dSpr-Loc", "structured", 16, flip=False, crop=False),
    VtabTask("dsprites_ori", "dSpr-Ori", "structured", 16, flip=False),
    VtabTask("smallnorb_azi", "sNORB-Azim", "structured", 18, flip=False),
    VtabTask("smallnorb_ele", "sNORB-Elev", "structured", 9),
)


def vtab_task(folder: str) -> VtabTask:
    """Returns a task by the name of its folder. Raises ConfigError for one that VTAB does not have."""
    for task in VTAB_TASKS:
        if task.folder == folder:
            return task
    names = ", ".join(task.folder for task in VTAB_TASKS)
    raise ConfigError(f"VTAB has no task '{safe_text(folder, 40)}'", "vtab", f"there are {names}")
