"""The findings as JSON."""

import dataclasses
import json
import math

from tagmill.ingest.dry_run.intervals import Interval
from tests.ingest.dry_run.test_screen import COSTS, FOUND, SAMPLE


def test_json_has_every_field_and_no_number_that_json_lacks() -> None:
    costs = dataclasses.replace(COSTS, downloaded_bytes=Interval(0.0, 1.0, math.inf))
    text = dataclasses.replace(FOUND, sample=SAMPLE, costs=costs).json()
    found = json.loads(text, parse_constant=lambda name: 1 / 0)
    assert found.keys() == {field.name for field in dataclasses.fields(FOUND)}
    assert found["costs"]["downloaded_bytes"] == {"low": 0.0, "value": 1.0, "high": None}
    assert found["tags"]["top"] == [{"name": "cat", "images": 120_000}]
    assert text.isascii()  # so that no character of the input reaches a terminal
