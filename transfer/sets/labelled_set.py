"""A labelled set, as every protocol sees it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class SetClass(NamedTuple):
    """A class of a set."""

    name: str
    synset: str | None = None  # WordNet 3.0 noun id, n and 8 digits, where the set says so


class Example(NamedTuple):
    """An image of a set, without its bytes."""

    key: str  # unique in the set, and the same at every reading
    labels: tuple[int, ...]  # places in `classes`, ascending; several in a multi-label set, none where unlabelled
    group: str = ""  # examples of one group stay in one part of a split (a subject, a concept); '' is a group of one


@dataclass(frozen=True)
class LabelledSet(ABC):
    """Images with classes, in a fixed order. Which part of a set it is (train, val, test) is part of its name."""

    name: str
    where: str  # path or URL, for messages
    classes: tuple[SetClass, ...]
    examples: Sequence[Example] = field(repr=False)
    digest: (
        str  # SHA-256, 64 hex digits, of keys, labels and what identifies the bytes; the same for the same set anywhere
    )

    @abstractmethod
    def read(self, places: Sequence[int]) -> list[bytes | None]:
        """Returns the encoded images, of any format of the web, at these places of `examples`; None for one that is missing or
        larger than an image may be. Several threads call it at once.
        Raises StoreError for a store that fails."""

    def __len__(self) -> int:
        return len(self.examples)
