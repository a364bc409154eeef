"""ImageNet's classes are all there, in their order, and nouns of WordNet 3.0."""

import pytest

from tagmill.ingest.labels.synsets import WordNet
from tagmill.ingest.labels.wordnet import imagenet as module
from tagmill.ingest.labels.wordnet.imagenet import imagenet
from tagmill.shards.errors import TagmillError


@pytest.mark.parametrize(("name", "count"), [("in1k", 1_000), ("in21k", 21_841)])
def test_classes_are_distinct_nouns_of_wordnet(name: str, count: int) -> None:
    nouns = WordNet.load()
    classes = imagenet(name)
    assert len(classes) == len(set(classes)) == count
    assert all(synset in nouns for synset in classes)
    assert list(classes) == sorted(classes), "class ids go by synset in both"


def test_well_known_classes_have_their_numbers() -> None:
    nouns, classes = WordNet.load(), imagenet("in1k")
    known = {
        0: "tench",
        151: "Chihuahua",
        207: "golden_retriever",
        294: "brown_bear",
        850: "teddy",
        999: "toilet_tissue",
    }
    assert {number: nouns.lemmas(classes[number])[0] for number in known} == known


def test_the_lists_overlap_as_imagenet_says() -> None:
    assert set(imagenet("in1k")) - set(imagenet("in21k")) == {"n04399382"}  # the teddy bear
    named = [synset for synset in imagenet("in21k") if WordNet.load().is_instance(synset)]
    assert named == ["n09450163", "n10994097", "n11196627", "n11318824"]  # the sun, and three people by mistake


def test_no_other_list() -> None:
    with pytest.raises(TagmillError, match=r"no list of classes 'in22k': give one of in1k, in21k"):
        imagenet("in22k")


@pytest.mark.parametrize("name", ["missing.npz", "LICENSE", "nouns.npz"])
def test_a_broken_installation_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(module, "IMAGENET_FILE", name)
    with pytest.raises(TagmillError, match="install tagmill again"):
        imagenet.__wrapped__("in1k")
