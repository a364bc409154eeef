"""The folder of a run: its training, what it measured, and how long it took."""

import json
from dataclasses import asdict

from tagmill.shards import IntegrityError, Store
from tagmill.studies.runs.run_result import RunResult
from tagmill.transfer.outcome.canonical import canonical_json

RESULT, SECONDS, TRAINING = "result.json", "seconds.json", "training"
"""Names in the folder; the result is the marker of a run that came to its end, and has no times."""


def put_result(folder: Store, result: RunResult) -> None:
    """Writes what a run measured, its seconds first; a result that is there stays."""
    values = asdict(result)
    seconds = values.pop("seconds")
    folder.put(SECONDS, canonical_json({"seconds": round(seconds, 1)}))
    folder.put_new(RESULT, canonical_json(values, indent=1))


def read_result(folder: Store) -> RunResult | None:
    """Returns what a run measured; None where it has not come to its end. Raises IntegrityError for another file."""
    try:
        data = folder.read(RESULT)
    except FileNotFoundError:
        return None
    try:
        seconds = json.loads(folder.read(SECONDS))["seconds"]
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        seconds = 0.0
    try:
        return RunResult(**json.loads(data), seconds=seconds)
    except (ValueError, TypeError) as error:
        remedy = "delete the folder of the run; the same command makes it again"
        raise IntegrityError(f"not the result of a run: {error}", f"{folder.url}/{RESULT}", remedy) from error


def trained_so_far(folder: Store) -> tuple[int, float]:
    """Returns the images that a run has seen, and the seconds of its steps in all calls together."""
    try:
        lines = [*map(json.loads, folder.within(TRAINING).read("metrics.jsonl").splitlines())]
    except FileNotFoundError:
        return 0, 0.0
    return (int(lines[-1]["images"]) if lines else 0), sum(float(line["seconds"]) for line in lines)
