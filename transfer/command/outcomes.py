"""Runs protocols and keeps their outcomes: one that is there is read and not run again."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic

from tagmill.shards import Store
from tagmill.transfer.command.protocols import PROTOCOLS, Bench, Settings
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.outcome.outcome_file import OUTCOME_FORMAT, outcome_bytes, read_outcome
from tagmill.transfer.report.report_facts import Judged, library_versions

SECONDS = "seconds.json"  # beside the report, which has no times


def judged(bench: Bench, random_seed: int | None) -> Iterator[Judged]:
    """Yields the outcomes of all protocols of the options, in their order. Each is in the output, in `outcomes/` by a name made
    of all that decides it, before the next one begins."""
    store = Store(bench.options.output)
    for name in dict.fromkeys(bench.options.protocols):
        for settings in PROTOCOLS[name].variants(bench.options):
            file = f"outcomes/{outcome_name(bench, name, settings)}.parquet"
            if not store.exists(file):
                begun = monotonic()
                bench.shown.stage(f"judge: {name}")
                outcome = PROTOCOLS[name].run(bench, settings)
                # The address of a model is no fact about it: the same weights elsewhere give the same outcome.
                outcome = replace(outcome, model=model_name(bench))
                store.put_new(file, outcome_bytes(outcome))
                _note_seconds(store, file, monotonic() - begun)
            data = store.read(file)
            yield Judged(read_outcome(data, file), hashlib.sha256(data).hexdigest(), file, random_seed)


def outcome_name(bench: Bench, protocol: str, settings: Settings) -> str:
    """Returns the name of an outcome, 20 hex digits: a digest of weights, sets, settings and versions."""
    trained, options = bench.trained, bench.options
    facts = {
        "format": OUTCOME_FORMAT,
        "protocol": protocol,
        "settings": dict(settings),
        "weights": trained.digest,
        "network": [trained.network, dict(trained.network_args)],
        "transform": repr(trained.transform),
        "resolution": options.resolution,
        "sets": [bench.train.digest, bench.test.digest],
        "names": [model_name(bench), bench.test.name],
        "versions": library_versions(),
    }
    return hashlib.sha256(canonical_json(facts)).hexdigest()[:20]


def model_name(bench: Bench) -> str:
    """Returns how outcomes name the model: its network and the first digits of its digest."""
    return f"{bench.trained.network} {bench.trained.digest[:12]}"


def _note_seconds(store: Store, file: str, seconds: float) -> None:
    try:
        known = json.loads(store.read(SECONDS))
    except (FileNotFoundError, ValueError):
        known = {}
    store.put(SECONDS, canonical_json({**known, file: round(seconds, 3)}, indent=1))
