"""Checks every drawn shape: large enough, inside its frame, of several colours, and never twice the same."""

from collections.abc import Callable

import numpy as np

from tagmill.demo.pen import Pen


def assert_fills_its_frame_and_varies(draw: Callable[[Pen, np.random.Generator], None]) -> None:
    seen = set()
    for seed in range(6):
        pen = Pen(150, np.array([[50.0, 0, 75], [0, 50.0, 75]]))
        draw(pen, np.random.default_rng(seed))
        mask, colour = np.asarray(pen.mask), np.asarray(pen.colour)
        assert mask[10:-10, 10:-10].astype(bool).mean() > 0.08
        rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
        assert max(np.ptp(rows), np.ptp(columns)) > 70
        assert min(rows[0], columns[0]) >= 12 and max(rows[-1], columns[-1]) < 138
        assert len(np.unique(colour[mask > 0], axis=0)) >= 2
        seen.add(pen.colour.tobytes())
    assert len(seen) == 6
