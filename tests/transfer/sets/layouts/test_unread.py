"""Sets that are refused with what to do."""

from pathlib import Path

import numpy as np
import pytest

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.unread import refuse_hdf5
from tagmill.transfer.sets.open_set import open_set
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.made import write_files


def test_pcam_is_refused_with_a_remedy_that_works(tmp_path: Path) -> None:
    name = "camelyonpatch_level_2_split_valid_x.h5"
    folder = write_files(tmp_path, {f"pcam/{name}": b"\x89HDF"})
    for spec in (folder, folder / "pcam"):
        with pytest.raises(InputError, match=r"pcam has HDF5 files, which are not read .*save x of each part"):
            open_set(str(spec), "val")
    with pytest.raises(InputError, match="x has HDF5 files"):
        refuse_hdf5("x", SetFiles.below(str(folder)), None)
    # x and y have these shapes in the published files.
    x, y = np.zeros((2, 96, 96, 3), np.uint8), np.array([0, 1], np.uint8).reshape(2, 1, 1, 1)
    np.savez(tmp_path / "pcam.npz", train_images=x, train_labels=y[:, 0, 0, 0])
    assert [each.labels for each in open_set(str(tmp_path / "pcam.npz"), "train").examples] == [(0,), (1,)]
