"""Tests of a trained model in memory."""

from dataclasses import replace

import pytest
import timm
import torch

from tagmill.shards import TagmillError
from tagmill.training.trained.model import check_finite
from tests.training.trained.models import LABELS, trained


def test_the_digest_is_that_of_weights_and_labels_and_of_no_place() -> None:
    one = trained()
    assert one.digest == replace(one, where="elsewhere", weights=dict(reversed(one.weights.items()))).digest
    name, value = next(iter(one.weights.items()))
    changed = value.clone()
    changed.view(-1)[3] += 1e-3
    others = [{**one.weights, name: changed}, {**one.weights, name: value.half()}, {"x": value}]
    digests = {replace(one, weights=weights).digest for weights in others}
    digests |= {replace(one, labels=LABELS[::-1]).digest, replace(one, labels=None).digest, one.digest}
    assert len(digests) == 6


def test_a_skeleton_has_no_memory_and_a_built_network_the_weights() -> None:
    one = trained()
    assert all(value.device.type == "meta" for value in one.skeleton().parameters())
    model = one.build()
    assert not model.training
    assert all(torch.equal(value, one.weights[name]) for name, value in model.state_dict().items())


def test_weights_that_do_not_fit_are_refused_by_name() -> None:
    one = trained()
    lacking = {name: value for name, value in one.weights.items() if name != "head.weight"}
    for bad, says in (
        (replace(one, weights=lacking), r"head\.weight"),
        (replace(one, labels=LABELS[:2]), r"head\.(bias|weight)"),
        (replace(one, network="no_such_network"), "no_such_network"),
        (replace(one, network_args={"banana": 1}), "banana"),
        (replace(one, network=None), "without the name of their network"),
    ):
        for make in (bad.build, bad.skeleton):
            with pytest.raises(TagmillError, match=rf"{says}.*\(memory\)"):
                make()


def test_a_configuration_takes_no_more_memory_than_its_weights() -> None:
    """The network would have 2^50 numbers in its last layer but one."""
    huge = replace(trained(), network_args={"embed_dim": 1 << 25})
    with pytest.raises(TagmillError, match="weights that do not fit test_vit"):
        huge.build()


@pytest.mark.parametrize("error", [NotImplementedError(), RuntimeError("Tensor.item() on meta tensors")])
def test_a_network_that_cannot_be_built_without_memory_is_built_with_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, usual = trained(), timm.create_model

    def create(*given: object, **named: object) -> object:
        if torch.empty(1).is_meta:
            raise error
        return usual(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(timm, "create_model", create)
    assert not next(one.skeleton().parameters()).is_meta
    assert len(one.build().state_dict()) == len(one.weights)


def test_infinite_weights_are_refused_by_name() -> None:
    check_finite({"a": torch.ones(3), "b": torch.ones(2, dtype=torch.int64)}, "here")
    with pytest.raises(TagmillError, match=r"not finite: c \(here\)"):
        check_finite({"a": torch.ones(3), "c": torch.tensor([1.0, float("nan")])}, "here")
