"""Outcomes on a drawn set, as a report takes them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.report.report_facts import Judged, RunFacts
from tagmill.transfer.sets.labelled_set import LabelledSet, SetClass
from tests.transfer.drawn_set import DrawnSet, drawn_set

FACTS = RunFacts("model", "0" * 64, "test_resnet", "train", "1" * 64, "test", "2" * 64, {"protocols": ["knn"]})


def named_set(text: str, classes: int = 7, undecodable: Sequence[int] = ()) -> DrawnSet:
    """A drawn set whose classes and keys have a text in their names."""
    made = drawn_set(classes, 8, undecodable=undecodable)
    examples = tuple(each._replace(key=f"{each.key}{text}") for each in made.examples)
    return replace(made, classes=tuple(SetClass(f"{each.name}{text}") for each in made.classes), examples=examples)


def outcome_on(test: LabelledSet, skill: float = 0.6, seed: int = 0, protocol: str = "few-shot") -> Outcome:
    draws = np.random.default_rng(seed)
    truth = np.array([each.labels[0] for each in test.examples])
    order = np.argsort(draws.random((len(truth), len(test.classes))), axis=1)
    sure = draws.random(len(truth)) < skill
    top = [[t, *(c for c in row if c != t)][:5] if s else row[:5] for t, row, s in zip(truth, order, sure, strict=True)]
    keys = np.array([each.key for each in test.examples])
    settings = {"shots": 5, "seed": seed} if protocol == "few-shot" else {"neighbours": 20}
    return Outcome(protocol, "model", test.name, test.classes, keys, truth, np.array(top), settings, {"truncated": 1})


def judged_on(test: LabelledSet, text: str = "") -> list[Judged]:
    """Two seeds of few-shot of the model, one of a random network, and k-NN."""
    made = [(outcome_on(test, 0.6, 0), None), (outcome_on(test, 0.7, 1), None), (outcome_on(test, 0.2, 2), 5)]
    made.append((outcome_on(test, 0.5, 3, "knn"), None))
    made.append((replace(outcome_on(test, 0.5, 3, "knn"), protocol=f"ours{text}"), None))
    return [
        Judged(each, f"{number:064x}", f"outcomes/{number}.parquet", seed) for number, (each, seed) in enumerate(made)
    ]
