"""What scores are begun with, and a refusal to go on with something else."""

import json
from collections.abc import Iterator, Mapping

import numpy as np
import timm
import torch

from tagmill.ingest.images.prepare import image_stack
from tagmill.shards import ConfigError, Corpus, Store
from tagmill.shards.manifest import CORPUS
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.studies.scores.corpus_parts import CorpusParts
from tagmill.studies.scores.score_files import (
    FACTS_FILE,
    ScoredSplit,
    ScoreFacts,
    facts_json,
    read_facts,
)
from tagmill.studies.scores.teacher import Teacher

SCORES_VERSION = "1"  # increase it with every change of the code that changes scores
_FIRST = ("teacher.name", "teacher", "top", "corpus.name", "corpus", "split", "batch", "part_samples", "device")
_DECODING = ("pillow", "libjpeg_turbo", "probe")


def score_facts(
    teacher: Teacher, corpus: Corpus, parts: CorpusParts, split: ScoredSplit, top: int, batch: int
) -> ScoreFacts:
    """Returns what determines the scores of a corpus. Raises ConfigError for more labels than the teacher has."""
    if top > len(teacher.labels):
        what = f"the {top} best labels of each sample, and the teacher has {len(teacher.labels)}"
        raise ConfigError(what, "--top", f"give at most --top {len(teacher.labels)}")
    stack = image_stack()
    versions = {"scores": SCORES_VERSION, "torch": torch.__version__, "timm": timm.__version__, "numpy": np.__version__}
    return ScoreFacts(
        teacher=teacher.facts,
        loss=teacher.loss,
        labels=teacher.labels,
        top=top,
        corpus={"name": corpus.file.name, "manifest": corpus.file.manifest.sha256},
        split=split,
        samples=parts.samples,
        part_samples=parts.part_samples,
        batch=batch,
        device=teacher.backbone.device,
        versions=versions | {name: stack[name] for name in _DECODING},
    )


def begin_scores(store: Store, facts: ScoreFacts) -> None:
    """Writes `scores.json` unless it is there. Raises ConfigError where it differs, with the first difference, and for the
    folder of a corpus."""
    if store.exists(CORPUS):
        raise ConfigError("a corpus is here", store.url, "give another --output: a folder for the scores alone")
    if store.put_new(FACTS_FILE, facts_json(facts)):
        return
    there = read_facts(store)
    assert there is not None
    name, values = first_difference(there, facts)
    if name:
        what = f"the scores here were begun with {name} {values[0]}, not {values[1]}"
        raise ConfigError(what, store.url, "give another --output, or what they were begun with")


def first_difference(there: ScoreFacts, here: ScoreFacts) -> tuple[str, tuple[str, str]]:
    """Returns the name of the most telling field that differs, and both of its values; an empty name where none does."""
    pair = [dict(_fields(json.loads(facts_json(each)))) for each in (there, here)]
    names = [name for name in pair[0] | pair[1] if pair[0].get(name) != pair[1].get(name)]
    if not names:
        return "", ("", "")
    name = min(names, key=lambda each: (_rank(each), each))
    values = (safe_text(str(each.get(name, "nothing")), 80) for each in pair)
    return name, (next(values), next(values))


def _rank(name: str) -> int:
    return next((place for place, first in enumerate(_FIRST) if f"{name}.".startswith(f"{first}.")), len(_FIRST))


def _fields(value: Mapping[str, object], within: str = "") -> Iterator[tuple[str, object]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _fields(inner, f"{within}{name}.")
        else:
            yield within + name, inner
