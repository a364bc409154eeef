"""The concepts shown by the images of the demo web, with their WordNet 3.0 noun synsets and the words people use."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """One kind of thing that can be drawn and tagged."""

    name: str
    """Unique, lower case, one word: the key of its drawing."""
    synset: str
    """The WordNet 3.0 noun synset that the images show, named as in ImageNet."""
    words: tuple[str, ...]
    """Lemmas of that synset, the usual one first; words of a lemma are separated by spaces."""
    plurals: tuple[str, ...]
    """If the plural is a WordNet lemma of another meaning, as `clocks` is, the singular is repeated here."""

    @property
    def share(self) -> float:
        """The concept's share of all images: mildly Zipfian, by its rank in `CONCEPTS`."""
        return _SHARES[self.name]


def _concept(synset: str, *words: str, plurals: tuple[str, ...] = ()) -> Concept:
    return Concept(
        name=words[0].replace(" ", ""),
        synset=synset,
        words=words,
        plurals=plurals or (f"{words[0]}s",),
    )


CONCEPTS: tuple[Concept, ...] = (
    _concept("n02958343", "car", "automobile", "motorcar"),
    _concept("n07873807", "pizza", "pizza pie"),
    _concept("n02274259", "butterfly", plurals=("butterflies",)),
    _concept("n07614500", "ice cream"),
    _concept("n02834778", "bicycle", "bike"),
    _concept("n11978233", "sunflower", "helianthus"),
    _concept("n04128499", "sailboat", "sailing boat"),
    _concept("n07745940", "strawberry", plurals=("strawberries",)),
    _concept("n07739125", "apple"),
    _concept("n01621127", "owl"),
    _concept("n07631023", "cupcake"),
    _concept("n02814860", "lighthouse", "pharos"),
    _concept("n03467517", "guitar"),
    _concept("n03541923", "hot air balloon"),
    _concept("n07753592", "banana"),
    _concept("n07639069", "donut", "doughnut"),
    _concept("n13001041", "mushroom"),
    _concept("n02165456", "ladybug", "ladybird", "lady beetle", "ladybird beetle"),
    _concept("n11842204", "cactus", plurals=("cacti", "cactuses")),
    _concept("n02055803", "penguin"),
    _concept("n07735510", "pumpkin"),
    _concept("n04507155", "umbrella"),
    _concept("n03046257", "clock", plurals=("clock",)),
    _concept("n01443537", "goldfish", "Carassius auratus", plurals=("goldfishes",)),
    _concept("n04251983", "snowman", plurals=("snowmen",)),
    _concept("n04398044", "teapot"),
    _concept("n04099429", "rocket"),
    _concept("n07756951", "watermelon"),
    _concept("n01662784", "turtle"),
    _concept("n04587559", "windmill"),
    _concept("n06874185", "traffic light", "traffic signal", "stoplight"),
    _concept("n01976957", "crab", plurals=("crab",)),
)
"""Most frequent first."""

BY_NAME: dict[str, Concept] = {concept.name: concept for concept in CONCEPTS}

_WEIGHTS: dict[str, float] = {concept.name: 1 / math.pow(place + 5, 0.7) for place, concept in enumerate(CONCEPTS)}
_SHARES = {name: weight / sum(_WEIGHTS.values()) for name, weight in _WEIGHTS.items()}


def zipf_shares(exponent: float) -> list[float]:
    """Returns shares in the order of `CONCEPTS` that fall with rank to the power of `exponent`: Zipf's law at 1."""
    weights = [1 / math.pow(rank, exponent) for rank in range(1, len(CONCEPTS) + 1)]
    return [weight / sum(weights) for weight in weights]


def apportion(total: int, zipf: float | None = None) -> list[Concept]:
    """Divides `total` among concepts by their shares, largest remainders first, in the order of `CONCEPTS`. `zipf`: exponent
    of the shares; None takes those of the concepts."""
    shares = [concept.share for concept in CONCEPTS] if zipf is None else zipf_shares(zipf)
    exact = [share * total for share in shares]
    counts = [int(value) for value in exact]
    by_rest = sorted(range(len(exact)), key=lambda place: (counts[place] - exact[place], place))
    for place in by_rest[: total - sum(counts)]:
        counts[place] += 1
    return [concept for concept, count in zip(CONCEPTS, counts, strict=True) for _ in range(count)]
