"""Tests the rules of what may change between a run and its resumption."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import TagmillError
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.training.checkpoints.resuming import (
    RULES,
    Rule,
    check_identity,
    check_labels,
    identity,
    loader_state,
    rule_of,
)
from tagmill.training.config.train import TrainConfig

CONFIG, EMPTY = TrainConfig(), Vocabulary(())


def test_each_setting_has_exactly_one_rule() -> None:
    counted = Counter(name for rules in RULES for name in rules)
    assert set(counted) == set(TrainConfig.__dataclass_fields__)
    assert [name for name, count in counted.items() if count > 1] == []


def changed(**values: Any) -> dict[str, Any]:
    return identity(replace(CONFIG, **values), EMPTY)


@given(st.data())
def test_every_value_of_a_setting_is_treated_by_its_rule(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(TrainConfig.__dataclass_fields__)))
    found = {**identity(CONFIG, EMPTY), name: data.draw(st.integers(1, 9) | st.text() | st.none())}
    wanted = identity(CONFIG, EMPTY)
    rule, equal = rule_of(name), found.get(name) == wanted.get(name)
    for extend in (False, True):
        if rule is Rule.FREE or equal or (rule is Rule.EXTENDABLE and extend):
            check_identity(found, wanted, extend, "here")
        else:
            with pytest.raises(TagmillError) as caught:
                check_identity(found, wanted, extend, "here")
            assert f"{name} is {found[name]!r}, this run's is {wanted.get(name)!r}" in caught.value.what


def test_settings_without_influence_are_no_part_of_a_run() -> None:
    for name, value in {"accumulation": 2, "precision": "bf16", "compile": True, "keep": 9, "device": "cpu"}.items():
        assert changed(**{name: value}) == identity(CONFIG, EMPTY)
    assert changed(clip=1.0) != identity(CONFIG, EMPTY)


def test_the_end_moves_only_when_it_is_asked_for() -> None:
    with pytest.raises(TagmillError, match=r"steps is None, this run's is 9.*--extend"):
        check_identity(identity(CONFIG, EMPTY), changed(steps=9), False, "here")
    check_identity(identity(CONFIG, EMPTY), changed(steps=9), True, "here")
    with pytest.raises(TagmillError, match="another run: lr is"):
        check_identity(identity(CONFIG, EMPTY), changed(steps=9, lr=0.5), True, "here")


def test_a_setting_that_the_checkpoint_lacks_or_this_version_does_not_know_is_named() -> None:
    wanted = identity(CONFIG, EMPTY)
    with pytest.raises(TagmillError, match=r"novel is 1, this run's is None"):
        check_identity({**wanted, "novel": 1}, wanted, True, "here")
    with pytest.raises(TagmillError, match=r"novel is None, this run's is 1"):
        check_identity(wanted, {**wanted, "novel": 1}, True, "here")


# --------------------------------------------------------------------------------------------------------------- Labels
def labels(*names: str) -> Vocabulary:
    return Vocabulary(tuple(Label(number, name, (f"n{name}",), (name,)) for number, name in enumerate(names)))


def test_labels_are_compared_by_their_synsets_in_order() -> None:
    old = labels("cat", "dog", "emu")
    renamed = Vocabulary((replace(old.labels[0], name="kitty", images=4), *old.labels[1:]))
    check_labels(old, renamed, "here")
    assert identity(CONFIG, old) == identity(CONFIG, renamed) != identity(CONFIG, labels("cat", "dog"))
    for new, says in (
        (labels("cat", "dog", "emu", "fox"), r"has 1 labels after the checkpoint's 3.*--init here"),
        (labels("cat", "emu", "dog"), r"another order: label 1 is 'dog', this run's is 'emu'"),
        (labels("cat", "dog", "fox"), r"vocabulary of another run: label 2 is 'emu', this run's is 'fox'"),
        (labels("cat", "dog"), r"has 2 labels, the checkpoint 3"),
    ):
        with pytest.raises(TagmillError, match=says):
            check_labels(old, new, "here")


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.lists(st.sampled_from("abcdef"), unique=True))
def test_only_equal_labels_are_accepted(old: list[str], new: list[str]) -> None:
    if old == new:
        check_labels(labels(*old), labels(*new), "here")
    else:
        with pytest.raises(TagmillError, match="label"):
            check_labels(labels(*old), labels(*new), "here")


# ---------------------------------------------------------------------------------------------------- The corpus's place
def test_another_generation_is_accepted_at_the_end_of_an_epoch_only() -> None:
    own: dict[str, Any] = {"epoch": 0, "turn": 0, "manifest": "b", "view": "w", "seed": 3}
    within, between = {**own, "epoch": 2, "turn": 8, "manifest": "a"}, {**own, "epoch": 2, "view": "v"}
    assert loader_state(between, own, "here") == {**between, "view": "w"}
    assert loader_state({**within, "manifest": "b"}, own, "here") == {**within, "manifest": "b"}
    with pytest.raises(TagmillError, match=r"epoch 2.*manifest is 'a', this run's is 'b'.*--checkpoint-epochs"):
        loader_state(within, own, "here")
