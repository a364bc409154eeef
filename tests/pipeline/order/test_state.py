"""Tests saved states: their content, and which ones raise an error."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from tagmill.pipeline.order.state import LoaderState, check
from tagmill.shards.errors import TagmillError

HERE = LoaderState(
    epoch=0,
    turn=0,
    seed=1,
    manifest="a" * 64,
    view="b" * 64,
    streams=8,
    window=2,
    chunk=16,
    batch_size=32,
    split="train",
    augment="train",
    drop_last=False,
)
SAVED = replace(HERE, epoch=3, turn=640)


def test_a_state_survives_json() -> None:
    for saved in (SAVED, replace(SAVED, view=None)):
        again = check(json.loads(json.dumps(saved.as_dict())), replace(HERE, view=saved.view))
        assert again == saved


def test_the_number_of_ranks_is_not_in_it() -> None:
    assert not {"world", "rank", "world_size"} & {field.name for field in fields(LoaderState)}


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("seed", 2, "configure"),
        ("manifest", "c" * 64, "corpus as it was"),
        ("view", "c" * 64, "view as it was"),
        ("view", None, "view as it was"),
        ("streams", 16, "configure"),
        ("window", 1, "configure"),
        ("chunk", 64, "configure"),
        ("batch_size", 64, "configure"),
        ("batch_size", "32", "configure"),
        ("split", "holdout", "configure"),
        ("augment", "eval", "configure"),
        ("jitter", [0.4, 0.4, 0.4, 0.1], "configure"),
        ("randaugment", [2, 9], "configure"),
        ("mixup", 0.2, "configure"),
        ("size", "128-320:32", "None is one size"),
        ("drop_last", True, "configure"),
        ("drop_last", 0, "configure"),
        ("version", 2, "version that saved it"),
        ("version", None, "version that saved it"),
    ],
)
def test_a_mismatch_is_named_with_both_values_and_a_remedy(name: str, value: Any, remedy: str) -> None:
    with pytest.raises(TagmillError) as caught:
        check({**SAVED.as_dict(), name: value}, HERE)
    assert f"{name} is {value!r}, this run's is {getattr(HERE, name)!r}" in str(caught.value)
    assert remedy in caught.value.remedy


def test_all_mismatches_are_named_at_once() -> None:
    with pytest.raises(TagmillError, match=r"manifest is .*chunk is 4, .*corpus as it was.*configure"):
        check({**SAVED.as_dict(), "chunk": 4, "manifest": "d" * 64}, HERE)


@pytest.mark.parametrize(
    ("name", "value"), [("epoch", -1), ("turn", -1), ("turn", 1.0), ("turn", True), ("epoch", "0")]
)
def test_epoch_and_turn_must_be_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(TagmillError, match=f"{name} is {value!r}.*whole number"):
        check({**SAVED.as_dict(), name: value}, HERE)


def test_unknown_and_missing_fields_are_named() -> None:
    state = {**SAVED.as_dict(), "world_size": 8}
    del state["turn"], state["chunk"]
    with pytest.raises(TagmillError, match="unknown world_size; missing chunk, turn"):
        check(state, HERE)


def test_fields_that_a_checkpoint_omits_are_named() -> None:
    state = SAVED.as_dict()
    assert state["fields"] == sorted({field.name for field in fields(LoaderState)} - {"size"})
    with pytest.raises(TagmillError, match="unknown cutmix"):
        check({**state, "fields": [*(name for name in state if name != "fields"), "cutmix"]}, HERE)
    with pytest.raises(TagmillError, match="fields is 3"):
        check({**state, "fields": 3}, HERE)


VARIED = replace(HERE, size="128-320:32")


def test_a_state_without_a_size_that_varies_is_as_before() -> None:
    assert sorted(HERE.as_dict()) == sorted(
        {"epoch", "turn", "seed", "manifest", "view", "streams", "window", "chunk", "batch_size", "split", "augment"}
        | {"drop_last", "weights", "jitter", "randaugment", "mixup", "version", "fields"}
    )
    assert check(json.loads(json.dumps(VARIED.as_dict())), VARIED) == VARIED


@pytest.mark.parametrize(
    ("saved", "here"), [(HERE, VARIED), (VARIED, HERE), (VARIED, replace(HERE, size="128-320:64"))]
)
def test_sizes_that_vary_must_agree(saved: LoaderState, here: LoaderState) -> None:
    with pytest.raises(TagmillError, match=f"size is {saved.size!r}, this run's is {here.size!r}.*configure size"):
        check(saved.as_dict(), here)


def test_a_checkpoint_that_returns_only_what_was_asked_for_keeps_the_size_in_its_names() -> None:
    state = {name: value for name, value in VARIED.as_dict().items() if name != "size"}
    with pytest.raises(TagmillError, match=r"a size that varies, this run's is one size.*configure size"):
        check(state, HERE)


def test_options_left_open_by_the_configuration_are_taken_as_saved() -> None:
    state = {**SAVED.as_dict(), "streams": 512}
    assert check(state, HERE, adopt=["streams"]) == replace(SAVED, streams=512)
    with pytest.raises(TagmillError, match="chunk is 4"):
        check({**state, "chunk": 4}, HERE, adopt=["streams"])
    with pytest.raises(TagmillError, match=r"streams is 0.*whole number of at least 1"):
        check({**state, "streams": 0}, HERE, adopt=["streams"])


def test_states_older_than_the_augmentation_options_have_none() -> None:
    older = {name: value for name, value in SAVED.as_dict().items() if name not in ("jitter", "randaugment", "mixup")}
    assert check(older, HERE) == SAVED
    with pytest.raises(TagmillError, match=r"mixup is 0\.0, this run's is 0\.2"):
        check(older, replace(HERE, mixup=0.2))
