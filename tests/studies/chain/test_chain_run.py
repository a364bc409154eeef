"""Which rates a chain trains: the first seeds with every one, and the others with the one that was best in their mean."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tagmill.shards.progress.protocol import Silent
from tagmill.studies.chain import chain_run
from tagmill.studies.chain.arms import LABELS, TAGS, TAGS_TUNED
from tagmill.studies.chain.chain_run import Chain, carried_out
from tagmill.studies.chain.stage import Stage
from tagmill.studies.runs.run_result import RunResult

RATES = (0.1, 0.2, 0.4)


def chain(rate_seeds: int) -> Chain:
    some: Any = SimpleNamespace(rates=RATES, rate_seeds=rate_seeds, processes=1)
    return some  # type: ignore[no-any-return]


def carried(
    monkeypatch: pytest.MonkeyPatch, rate_seeds: int, seeds: int, accuracy: dict[tuple[str, int, float], float | None]
) -> tuple[list[tuple[str, int, float]], dict[tuple[str, int], float]]:
    """Returns the trainings in their order as (stage, seed, rate), and the rate of each stage and seed. An accuracy of None is
    a training that diverged; one that is not given is 0.5."""
    trained = list[tuple[str, int, float]]()

    def tasks(_: Any, stage: Stage, seed: int, rates: Sequence[float], found: Any, progress: Any) -> list[Any]:
        assert all((each, seed) in found for each in stage.needs)
        return [SimpleNamespace(run=f"{stage.name}/{seed}/{rate}", key=(stage.name, seed, rate)) for rate in rates]

    def results(tasks: Sequence[Any], processes: int, told: Any) -> list[RunResult]:
        trained.extend(task.key for task in tasks)
        found = [(task, accuracy.get(task.key, 0.5)) for task in tasks]
        return [
            RunResult("", 0, task.run, 1, 0.0, {} if value is None else {"validation_top1": value}, None)
            for task, value in found
        ]

    monkeypatch.setattr(chain_run, "_tasks", tasks)
    monkeypatch.setattr(chain_run, "all_results", results)
    found = carried_out(chain(rate_seeds), (LABELS, TAGS, TAGS_TUNED), seeds, lambda *_: None, Silent())
    return trained, {(stage.name, seed): float(each.run.split("/")[2]) for (stage, seed), each in found.items()}


def test_the_first_seed_chooses_a_rate_for_each_stage_and_the_others_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    accuracy: dict[tuple[str, int, float], float | None] = {("labels", 0, 0.2): 0.9, ("tags", 0, 0.4): 0.8}
    trained, rates = carried(monkeypatch, 1, 3, accuracy)
    assert len(trained) == 3 * (3 + 2) and len(rates) == 9
    assert {seed: rate for (stage, seed), rate in rates.items() if stage == "labels"} == dict.fromkeys(range(3), 0.2)
    assert {seed: rate for (stage, seed), rate in rates.items() if stage == "tags"} == dict.fromkeys(range(3), 0.4)
    assert all(rates["tags>labels", seed] == 0.1 for seed in range(3)), "of equal ones the lowest"


def test_several_seeds_choose_by_their_mean_and_a_rate_that_diverged_in_one_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accuracy: dict[tuple[str, int, float], float | None] = {
        ("labels", 0, 0.1): 0.9,
        ("labels", 1, 0.1): 0.1,
        ("labels", 0, 0.2): 0.6,
        ("labels", 1, 0.2): 0.6,
        ("tags", 0, 0.4): 1.0,
        ("tags", 1, 0.4): None,
        ("tags>labels", 0, 0.1): None,
        ("tags>labels", 1, 0.2): None,
        ("tags>labels", 1, 0.4): None,
    }
    trained, rates = carried(monkeypatch, 2, 3, accuracy)
    assert len(trained) == 3 * (6 + 1)
    assert [rates["labels", seed] for seed in range(3)] == [0.2] * 3
    assert [rates["tags", seed] for seed in range(3)] == [0.1] * 3
    assert [rates["tags>labels", seed] for seed in range(3)] == [0.1] * 3, "every rate diverged: the first"


def test_more_choosing_seeds_than_seeds_train_every_rate_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, rates = carried(monkeypatch, 9, 2, {})
    assert len(trained) == len(set(trained)) == 3 * 2 * 3 and len(rates) == 6
