"""A vocabulary: the classes of a view's labels, each a set of synsets with one integer id. Immutable once written."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tagmill.shards.errors import CorpusError


@dataclass(frozen=True)
class Label:
    """One class: its synsets (WordNet 3.0 noun ids), their lemmas, and the tokens that led to it with their image
    counts.

    `name` is for people: the most frequent token when the label was made. Labels are compared by `synsets` alone.
    Vocabularies of earlier versions have the synsets as names.
    """

    id: int
    name: str
    synsets: tuple[str, ...]
    lemmas: tuple[str, ...]
    tokens: Mapping[str, int] = field(default_factory=dict)
    images: int = 0  # images of the train split that carry the label


@dataclass(frozen=True)
class Vocabulary:
    """The labels in id order, and how they were derived (`rule`, `source`), for a person to judge."""

    labels: tuple[Label, ...]
    rule: str = "merge"
    source: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if [label.id for label in self.labels] != list(range(len(self.labels))):
            raise CorpusError("label ids are not 0, 1, 2, ...", "vocabulary", "restore vocabulary.json")
        sets = {label.synsets for label in self.labels}
        if len(sets) != len(self.labels) or any(not label.synsets for label in self.labels):
            raise CorpusError(
                "two labels with one set of synsets, or one with none", "vocabulary", "merge or drop them"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes_sha256(self) -> str:
        """Digest of the meaning of the ids, 64 hex digits; independent of names and counts of the labels."""
        return classes_sha256(label.synsets for label in self.labels)

    def json(self) -> bytes:
        """Returns the file's bytes; the same vocabulary gives the same bytes."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=True).encode("ascii") + b"\n"

    @classmethod
    def parse(cls, data: bytes, where: str = "vocabulary.json") -> "Vocabulary":
        """Parses the bytes of `json`. Raises CorpusError that names the fault."""
        try:
            text = json.loads(data)
            labels = tuple(
                Label(**{**label, "synsets": tuple(label["synsets"]), "lemmas": tuple(label["lemmas"])})
                for label in text["labels"]
            )
            return cls(labels, text["rule"], text["source"])
        except (ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"not a vocabulary: {error}", where, "restore it or make the view again") from error


def classes_sha256(classes: Iterable[Sequence[str]]) -> str:
    """Returns the digest of sets of synsets in the order of their ids."""
    return hashlib.sha256("\n".join(map("+".join, classes)).encode()).hexdigest()
