import numpy as np
import pytest

from tagmill.demo.pen import Pen
from tagmill.demo.shapes_made import DRAWN


@pytest.mark.parametrize("name", DRAWN)
def test_the_shape_fills_its_frame_stays_inside_it_and_varies(name: str) -> None:
    seen = set()
    for seed in range(6):
        pen = Pen(150, np.array([[50.0, 0, 75], [0, 50.0, 75]]))
        DRAWN[name](pen, np.random.default_rng(seed))
        mask, colour = np.asarray(pen.mask), np.asarray(pen.colour)
        assert mask[10:-10, 10:-10].astype(bool).mean() > 0.08
        rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
        assert max(np.ptp(rows), np.ptp(columns)) > 70
        assert min(rows[0], columns[0]) >= 12 and max(rows[-1], columns[-1]) < 138
        assert len(np.unique(colour[mask > 0], axis=0)) >= 2
        seen.add(pen.colour.tobytes())
    assert len(seen) == 6
