"""Features of a set are those of the network image by image, what cannot be had is counted, and nothing left is an error."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tagmill.ingest.reasons import Reason
from tagmill.pipeline import ImageDecoder
from tagmill.shards import ConfigError, TagmillError
from tagmill.transfer.features.backbone import Backbone
from tagmill.transfer.features.extract import Sharing, extract, extract_values
from tagmill.transfer.features.feature_parts import PartLayout
from tagmill.transfer.sets.skip_reasons import MISSING, NO_LABEL, NOT_FINITE
from tests.transfer.drawn_set import drawn_from, drawn_set
from tests.transfer.features.small_model import small_backbone

LAYOUT = PartLayout(part=5, batch=3)


class Counts:
    """A progress that keeps its figures."""

    def __init__(self) -> None:
        self.stages, self.counts = list[tuple[str, int | None]](), dict[str, int]()

    def stage(self, name: str, total: int | None = None) -> None:
        self.stages.append((name, total))

    def advance(self, n: int, **counts: int) -> None:
        assert n == sum(counts.values())
        self.counts |= {name: self.counts.get(name, 0) + count for name, count in counts.items()}

    def fetched(self, traffic: object) -> None:
        raise AssertionError(traffic)


def test_features_are_those_of_the_network_image_by_image() -> None:
    drawn, backbone = drawn_set(3, 4, group=2), small_backbone()
    table = extract(backbone, drawn, layout=LAYOUT)
    with ImageDecoder(backbone.transform.size, backbone.transform.share) as decoder, torch.inference_mode():
        batch = decoder.decode(drawn.images).normalised("float32", backbone.transform.mean, backbone.transform.std)
        network = backbone.network
        expected = network.forward_head(network.forward_features(batch.images), pre_logits=True).numpy()
    np.testing.assert_allclose(table.values, expected, atol=1e-6, rtol=1e-5)
    assert table.labels.tolist() == [place % 3 for place in range(12)] and table.classes == drawn.classes
    assert table.keys.tolist() == [example.key for example in drawn.examples]
    assert table.groups.tolist() == [example.group for example in drawn.examples] and table.skipped == {}


def test_what_is_no_image_is_left_out_and_counted_by_reason() -> None:
    drawn, shown = drawn_set(2, 6, undecodable={0, 5}, missing={7}), Counts()
    unlabelled = drawn_from(
        drawn.images, [e._replace(labels=()) if p == 2 else e for p, e in enumerate(drawn.examples)], drawn.classes
    )
    table = extract(small_backbone(), unlabelled, layout=LAYOUT, progress=shown)
    assert table.skipped == {str(Reason.NOT_AN_IMAGE): 2, MISSING: 1, NO_LABEL: 1}
    kept = [place for place in range(12) if place not in (0, 2, 5, 7)]
    assert table.keys.tolist() == table.groups.tolist() == [drawn.examples[place].key for place in kept]
    whole = extract(small_backbone(), drawn_set(2, 6), layout=LAYOUT)
    assert np.array_equal(table.values, whole.values[kept])  # its neighbours in a batch do not change an image
    assert shown.stages == [("features", 12)]
    assert shown.counts == {"ok": 9, str(Reason.NOT_AN_IMAGE): 2, MISSING: 1}


def test_features_that_are_not_finite_are_counted() -> None:
    class Overflowing(Backbone):
        def __call__(self, batch):  # type: ignore[no-untyped-def]
            found = super().__call__(batch).clone()
            found[batch.images.float().mean((1, 2, 3)) > middle, 3] = torch.inf
            return found

    drawn, usual = drawn_set(2, 6), small_backbone()
    with ImageDecoder(usual.transform.size, usual.transform.share) as decoder:
        means = decoder.decode(drawn.images).images.float().mean((1, 2, 3))
    middle = float(means.median())
    backbone = Overflowing(**{name: getattr(usual, name) for name in Backbone.__dataclass_fields__})
    table = extract(backbone, drawn)
    assert np.isfinite(table.values).all() and len(table) == 12 - table.skipped[NOT_FINITE]
    assert table.skipped == {NOT_FINITE: int((means > middle).sum())}


def test_nothing_left_is_an_error_with_the_reasons() -> None:
    drawn = drawn_set(2, 2, undecodable={0, 1, 2}, missing={3})
    with pytest.raises(TagmillError, match="no image of the set is left: 1 missing, 3 not_an_image"):
        extract(small_backbone(), drawn)
    with pytest.raises(TagmillError, match="it is empty"):
        extract(small_backbone(), drawn_set(1, 0))


def test_a_set_of_several_classes_an_image_has_values_and_no_table() -> None:
    drawn = drawn_set(2, 2)
    several = drawn_from(drawn.images, [drawn.examples[0]._replace(labels=(0, 1)), *drawn.examples[1:]], drawn.classes)
    with pytest.raises(ConfigError, match="more than one"):
        extract(small_backbone(), several)
    values = extract_values(small_backbone(outputs="logits"), several)
    assert values.values.shape == (4, 1000) and values.reasons.tolist() == [""] * 4


def test_processes_that_share_need_a_store_and_a_rank() -> None:
    with pytest.raises(ConfigError, match="without a store"):
        Sharing(None, 0, 2)
    with pytest.raises(ConfigError, match="rank 2 of 2"):
        replace(Sharing(), rank=2, ranks=2)
