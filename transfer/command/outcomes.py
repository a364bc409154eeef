"""Runs protocols and keeps their outcomes: one that is there is read and not run again."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic

from tagmill.shards import Store
from tagmill.training.trained.model import Trained
from tagmill.transfer.command.protocols import PROTOCOLS, Bench, Settings
from tagmill.transfer.command.ranks import Ranks
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.outcome_file import OUTCOME_FORMAT, outcome_bytes, read_outcome
from tagmill.transfer.outcome.right_classes import with_right_classes
from tagmill.transfer.report.report_facts import Judged, library_versions
from tagmill.transfer.sets.labelled_set import LabelledSet

SECONDS = "seconds.json"  # beside the report, which has no times


def judged(bench: Bench, random_seed: int | None) -> Iterator[Judged]:
    """Yields the outcomes of all protocols of the options, in their order. Each is in the output, in `outcomes/` by a name made
    of all that decides it, before the next one begins."""
    store = Store(bench.options.output)
    for name in dict.fromkeys(bench.options.protocols):
        for settings in PROTOCOLS[name].variants(bench.options):
            options, sets = bench.options, (bench.train, bench.test)
            file = f"outcomes/{outcome_name(bench.trained, options.resolution, sets, name, settings)}.parquet"
            bench.shown.stage(f"judge: {name}")
            run = partial(_outcome, bench, name, settings)
            yield kept_outcome(store, file, model_name(bench.trained), run, random_seed, bench.ranks)


def _outcome(bench: Bench, protocol: str, settings: Settings) -> Outcome:
    return with_right_classes(PROTOCOLS[protocol].run(bench, settings), bench.test)


def kept_outcome(
    store: Store,
    file: str,
    model: str,
    run: Callable[[], Outcome],
    random_seed: int | None = None,
    ranks: Ranks | None = None,
) -> Judged:
    """Returns the outcome in a file; `run` makes it where there is none. `model`: how it names the model, because the address
    of a model is no fact about it: the same weights elsewhere give the same outcome. `ranks`: all of them run it, and the first
    writes it."""
    all_of_them = ranks or Ranks()
    if not all_of_them.on_first(lambda: store.exists(file)):
        begun = monotonic()
        found = replace(run(), model=model)
        all_of_them.on_first(lambda: _keep(store, file, found, monotonic() - begun))
    data = store.read(file)
    return Judged(read_outcome(data, file), hashlib.sha256(data).hexdigest(), file, random_seed)


def outcome_name(
    trained: Trained, resolution: int | None, sets: Sequence[LabelledSet], protocol: str, settings: Settings
) -> str:
    """Returns the name of an outcome, 20 hex digits: a digest of weights, sets (the test set is the last one), settings and
    versions."""
    facts = {
        "format": OUTCOME_FORMAT,
        "protocol": protocol,
        "settings": dict(settings),
        "weights": trained.digest,
        "network": [trained.network, dict(trained.network_args)],
        "transform": repr(trained.transform),
        "resolution": resolution,
        "sets": [each.digest for each in sets],
        "names": [model_name(trained), sets[-1].name],
        "versions": library_versions(),
    }
    return hashlib.sha256(canonical_json(facts)).hexdigest()[:20]


def model_name(trained: Trained) -> str:
    """Returns how outcomes name the model: its network and the first digits of its digest."""
    return f"{trained.network} {trained.digest[:12]}"


def _keep(store: Store, file: str, found: Outcome, seconds: float) -> None:
    store.put_new(file, outcome_bytes(found))
    _note_seconds(store, file, seconds)


def _note_seconds(store: Store, file: str, seconds: float) -> None:
    try:
        known = json.loads(store.read(SECONDS))
    except (FileNotFoundError, ValueError):
        known = {}
    store.put(SECONDS, canonical_json({**known, file: round(seconds, 3)}, indent=1))
