"""The published layouts by their names, and which of them a folder has."""

from tagmill.shards.errors import InputError
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.layouts.aircraft import AIRCRAFT
from tagmill.transfer.sets.layouts.cars import CARS
from tagmill.transfer.sets.layouts.flowers import FLOWERS_102
from tagmill.transfer.sets.layouts.food import FOOD
from tagmill.transfer.sets.layouts.house_numbers import HOUSE_NUMBERS
from tagmill.transfer.sets.layouts.layout import Layout
from tagmill.transfer.sets.layouts.nested_folders import CALTECH_101, CALTECH_256, EUROSAT
from tagmill.transfer.sets.layouts.pets import PETS
from tagmill.transfer.sets.layouts.scenes import SCENES
from tagmill.transfer.sets.layouts.textures import TEXTURES
from tagmill.transfer.sets.layouts.traffic_signs import TRAFFIC_SIGNS
from tagmill.transfer.sets.layouts.unread import PATCHES
from tagmill.transfer.sets.set_files import SetFiles

_RECOGNISED: dict[str, Layout] = {
    "food-101": FOOD,
    "dtd": TEXTURES,
    "oxford-iiit-pet": PETS,
    "flowers-102": FLOWERS_102,
    "stanford-cars": CARS,
    "svhn": HOUSE_NUMBERS,
    "fgvc-aircraft": AIRCRAFT["variant"],
    "gtsrb": TRAFFIC_SIGNS,
    "sun397": SCENES,
    "caltech-101": CALTECH_101,
    "caltech-256": CALTECH_256,
    "eurosat": EUROSAT,
    "pcam": PATCHES,
}
LAYOUTS: dict[str, Layout] = {
    **_RECOGNISED,
    "fgvc-aircraft-family": AIRCRAFT["family"],
    "fgvc-aircraft-manufacturer": AIRCRAFT["manufacturer"],
}
"""The layouts, by the kind that names each in KIND:URL."""


def recognised_layout(files: SetFiles) -> str | None:
    """Returns the layout that the files of a folder have. Raises InputError where there are several sets."""
    found = [kind for kind, layout in _RECOGNISED.items() if layout.begins(files) is not None]
    if len(found) > 1:
        remedy = f"give the folder of one, or {found[0]}:{files.store.url}"
        raise InputError(f"several sets: {', '.join(found)}", files.store.url, remedy)
    return found[0] if found else None


def layout_set(kind: str, files: SetFiles, split: str | None) -> LabelledSet:
    """Returns a part of a set in one of LAYOUTS. Raises InputError where the files are not there."""
    layout = LAYOUTS[kind]
    found = layout.begins(files)
    if found is None:
        remedy = f"give the folder that has {' or '.join(layout.marks[:2])}"
        raise InputError(f"no files of {kind}", files.store.url, remedy)
    return layout.read(kind, found, split)
