"""The comparison of detectors over trained and random networks."""

from pathlib import Path

import pytest

from tagmill.bench.detection import DetectorRun, RunFigures, compared
from tagmill.transfer.detection.average_precision import AveragePrecision
from tagmill.transfer.detection.detect_run import DetectorTask


def run(seed: int, random: bool, ap50: float | None) -> tuple[DetectorRun, RunFigures]:
    boxes = AveragePrecision(0.1, ap50, 0.0, None, None, None, 0.2, ())
    task = DetectorTask(seed=seed, random=random)
    return DetectorRun("model", Path("coco"), Path("runs"), task), RunFigures(boxes, 2.04, 1.0)


def test_arms_are_compared_by_seed(capsys: pytest.CaptureFixture[str]) -> None:
    cases = compared([run(0, False, 0.5), run(0, True, 0.2), run(1, False, 0.75), run(1, True, 0.25)])
    assert cases["trained"]["ap50"] == [0.5, 0.75] and cases["random"]["ap50"] == [0.2, 0.25]
    assert cases["trained"]["seconds"] == [2.0, 2.0]
    assert cases["trained - random"]["ap50"]["mean"] == pytest.approx(0.4)  # type: ignore[index]
    assert "ap50: trained 0.625, random 0.225; difference +0.400" in capsys.readouterr().out


def test_a_pair_with_a_run_that_diverged_is_left_out() -> None:
    (diverged, _), *others = [run(seed, arm, 0.5 - 0.2 * arm) for arm in (True, False) for seed in range(3)]
    cases = compared([(diverged, None), *others])
    assert cases["random"]["diverged"] == [0] and cases["trained"]["diverged"] == []
    assert cases["trained"]["seeds"] == [1, 2] and cases["trained"]["ap50"] == [0.5, 0.5]
    assert cases["trained - random"]["ap50"]["mean"] == pytest.approx(0.2)  # type: ignore[index]


def test_a_set_without_objects_has_no_figure() -> None:
    with pytest.raises(ValueError, match="no object to find"):
        compared([run(0, False, None), run(0, True, None)])
