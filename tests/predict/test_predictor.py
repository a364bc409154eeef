"""Tests that scores are those of the evaluation, in each kind of model."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tagmill.pipeline import ImageDecoder
from tagmill.predict.predictor import Predictor
from tagmill.shards import ConfigError, TagmillError
from tests.pipeline.corpora import picture
from tests.training.trained.models import LABELS, trained

PICTURES = [picture(number, 64, 48) for number in range(3)]


@pytest.mark.parametrize("loss", ["softmax", "sigmoid", None])
def test_scores_are_the_models_best_first(loss: str | None) -> None:
    one = replace(trained("test_resnet", 48), loss=loss)
    with Predictor(one, "cpu", 1) as predictor, ImageDecoder(48, threads=1) as decoder:
        found = predictor.predict([PICTURES[0], None, PICTURES[1][:90], PICTURES[1]], 3)
        assert one.transform is not None
        images = decoder.decode(PICTURES[:2]).normalised("float32", one.transform.mean, one.transform.std).images
        with torch.inference_mode():
            logits = one.build()(images)
    scores = logits.sigmoid() if loss == "sigmoid" else logits.softmax(1)
    assert found[1] is None and found[2] is None
    for row, labels in enumerate([found[0], found[3]]):
        assert labels is not None and len(labels) == 3
        wanted = sorted(range(4), key=lambda id: -float(scores[row, id]))[:3]
        assert [each.id for each in labels] == wanted and all(each.label == LABELS[each.id] for each in labels)
        assert [each.score for each in labels] == pytest.approx(scores[row, wanted].tolist(), rel=1e-4)


def test_a_picture_scores_the_same_alone_and_among_others() -> None:
    with Predictor(trained("test_resnet", 48), "cpu", 1) as predictor:
        (alone,) = predictor.predict([PICTURES[2]], 9)
        among = predictor.predict([None, *PICTURES], 9)[3]
    assert alone is not None and among is not None and len(alone) == len(LABELS)
    assert [each.score for each in alone] == pytest.approx([each.score for each in among], rel=1e-4)


def test_a_model_without_labels_has_numbers() -> None:
    one = replace(trained("test_resnet", 48), labels=None, network_args={"num_classes": 4})
    with Predictor(one, "cpu", 1) as predictor:
        (found,) = predictor.predict(PICTURES[:1], 1)
    assert found is not None and found[0].label.name == str(found[0].id) and predictor.outputs == 4


def test_the_transform_of_the_model_is_used(tmp_path: Path) -> None:
    one = trained("test_resnet", 48)
    assert one.transform is not None
    others = [replace(one.transform, size=64), replace(one.transform, share=0.5)]
    others += [replace(one.transform, mean=(0.0, 0.0, 0.0)), replace(one.transform, std=(1.0, 1.0, 1.0))]
    scores = set()
    for transform in (one.transform, *others):
        with Predictor(replace(one, transform=transform), "cpu", 1) as predictor:
            (found,) = predictor.predict(PICTURES[:1], 4)
            assert found is not None
            scores.add(tuple(each.score for each in found))
    assert len(scores) == 5


def test_models_that_cannot_be_used_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    vit = trained("test_vit", 33, img_size=32)
    with pytest.raises(TagmillError, match=r"no scores for images of 33 pixels.*\(memory\)"):
        Predictor(vit, "cpu", 1)
    broken = trained("test_resnet", 48)
    broken = replace(broken, weights={name: value * float("nan") for name, value in broken.weights.items()})
    with Predictor(broken, "cpu", 1) as predictor, pytest.raises(TagmillError, match="not finite"):
        predictor.predict(PICTURES, 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch sees no GPU"):
        Predictor(vit, "cuda")
