"""Tests of timm's pretrained models. Nothing is downloaded: the weights are random ones in place of timm's."""

from typing import Any

import pytest
import timm
import torch

from tagmill.shards import TagmillError
from tagmill.training.trained.timm_weights import labels_in, read_timm, transform_in

FACTS = {
    "num_classes": 3,
    "input_size": (3, 96, 96),
    "crop_pct": 0.95,
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.25),
}


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = timm.create_model

    def create(name: str, pretrained: bool = False, **given: Any) -> Any:
        torch.manual_seed(3)
        return usual(name, **given)

    monkeypatch.setattr(timm, "create_model", create)


def test_a_pretrained_model_has_its_network_transform_and_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch)
    found = read_timm("timm:test_resnet.r160_in1k")
    assert found.network == "test_resnet" and found.labels is not None and len(found.labels) == 1000
    assert found.labels[0].synsets == ("n01440764",) and found.labels[0].words == ("tench", "Tinca tinca")
    assert found.transform is not None and found.transform.size == 160 and found.loss == "softmax"
    assert len(found.build().state_dict()) == len(found.weights)


@pytest.mark.parametrize("name", ["", "no_such_network", "test_vit.no_such_tag", "hf-hub:someone/model", "a:b:c"])
def test_names_without_weights_are_refused_before_a_download(name: str) -> None:
    with pytest.raises(TagmillError, match="no pretrained weights"):
        read_timm(f"timm:{name}")


@pytest.mark.parametrize("error", [OSError("no route to host\nmore"), RuntimeError("digest"), FileNotFoundError()])
def test_a_failed_download_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def create(*given: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(TagmillError, match=r"none downloaded.*\(timm:test_vit\)") as caught:
        read_timm("timm:test_vit")
    assert "\n" not in str(caught.value) and "more" not in str(caught.value)


def test_labels_are_those_named_else_imagenets_else_none() -> None:
    assert labels_in(FACTS) is None and labels_in({**FACTS, "label_names": ["a"]}) is None
    named = {**FACTS, "label_names": ["n01440764", "b", "c"], "label_descriptions": {"n01440764": "tench, fish"}}
    labels = labels_in(named)
    assert labels is not None and [label.name for label in labels] == ["tench", "b", "c"]
    assert labels[0].synsets == ("n01440764",) and labels[0].words == ("tench", "fish") and labels[1].synsets == ()
    counts = {1000: "tench", 11821: None, 21841: None, 21843: None}
    for number, first in counts.items():
        found = labels_in({"num_classes": number})
        assert found is not None and len(found) == number and first in (None, found[0].name)


def test_the_transform_is_in_units_of_our_loader() -> None:
    found = transform_in(FACTS)
    assert (found.size, found.share, found.mean, found.std) == (96, 0.95, (127.5,) * 3, (127.5, 127.5, 63.75))
    assert transform_in({**FACTS, "crop_pct": None}).share == 0.875
    assert transform_in({**FACTS, "crop_mode": "squash"}).squeezed and not transform_in(FACTS).squeezed
