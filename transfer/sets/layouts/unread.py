"""Published sets that are recognised and not read, with what to do."""

from typing import NoReturn

from tagmill.shards.errors import InputError
from tagmill.transfer.sets.layouts.layout import Layout
from tagmill.transfer.sets.set_files import SetFiles

_PCAM = tuple(f"camelyonpatch_level_2_split_{part}_x.h5" for part in ("train", "valid", "test"))


def refuse_hdf5(kind: str, files: SetFiles, split: str | None) -> NoReturn:
    """Raises InputError: PCAM's files are HDF5."""
    remedy = "save x of each part as train_images, and y[:, 0, 0, 0] as train_labels, of an .npz file, and give that"
    raise InputError(f"{kind} has HDF5 files, which are not read", files.store.url, remedy)


PATCHES = Layout(("pcam",), _PCAM, refuse_hdf5)
