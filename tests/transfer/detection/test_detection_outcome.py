"""The file of an outcome."""

import json
from pathlib import Path

from tagmill.shards import Store
from tagmill.transfer.detection.average_precision import AveragePrecision
from tagmill.transfer.detection.detection_outcome import DETECTION_FILE, DetectionOutcome, write_detection

FIGURES = AveragePrecision(0.5, 0.75, 0.25, None, 0.5, None, 0.625, (0.5, None))


def test_equal_outcomes_are_equal_files(tmp_path: Path) -> None:
    store, files = Store(str(tmp_path)), list[bytes]()
    for settings in ({"seed": 1, "batch": 2}, {"batch": 2, "seed": 1}):
        outcome = DetectionOutcome(
            "detection",
            "retinanet",
            "m",
            "d",
            False,
            "a",
            "1",
            "b",
            "2",
            ("car", "dog"),
            3,
            FIGURES,
            None,
            settings,
            {},
        )
        write_detection(outcome, store)
        files.append(store.read(DETECTION_FILE))
    assert files[0] == files[1]
    found = json.loads(files[0])
    assert found["boxes"]["per_class"] == [0.5, None] and found["masks"] is None and found["settings"]["seed"] == 1
