"""The labels of a trained model: what its outputs mean."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tagmill.shards import TagmillError, Vocabulary

LABELS_FILE = "labels.json"


@dataclass(frozen=True)
class ModelLabel:
    """One output of a model."""

    name: str
    synsets: tuple[str, ...] = ()  # WordNet 3.0 noun ids
    words: tuple[str, ...] = ()  # lemmas of the synsets


ModelLabels = tuple[ModelLabel, ...]  # in the order of the outputs


def labels_of(vocabulary: Vocabulary) -> ModelLabels:
    """Returns the labels of a view's vocabulary."""
    return tuple(ModelLabel(label.name, label.synsets, label.lemmas) for label in vocabulary.labels)


def unique_names(labels: Sequence[ModelLabel]) -> list[str]:
    """Returns a name for each label, [L]; those that several labels have get their synsets or their number behind them."""
    counts: dict[str, int] = {}
    for label in labels:
        counts[label.name] = counts.get(label.name, 0) + 1
    names = list[str]()
    taken = {name for name, count in counts.items() if count == 1}
    for number, label in enumerate(labels):
        name = label.name
        if counts[name] > 1:
            name = f"{label.name} ({'+'.join(label.synsets) or number})"
            name = f"{name} ({number})" if name in taken else name
        taken.add(name)
        names.append(name)
    return names


def labels_json(labels: Sequence[ModelLabel]) -> bytes:
    """Returns the bytes of `labels.json`: a list with id, name, synsets and words of each output."""
    rows = [{"id": number, **asdict(label)} for number, label in enumerate(labels)]
    return json.dumps(rows, indent=1, ensure_ascii=False).encode() + b"\n"


def parse_labels(data: bytes, where: object) -> ModelLabels:
    """Parses the bytes of `labels_json`. Raises TagmillError where they are something else."""
    try:
        rows = json.loads(data)
        labels = tuple(ModelLabel(str(row["name"]), _texts(row["synsets"]), _texts(row["words"])) for row in rows)
        numbers = [row["id"] for row in rows]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise TagmillError(f"not a list of labels: {type(error).__name__}: {error}", where, "export again") from error
    if numbers != list(range(len(labels))):
        raise TagmillError("labels whose ids are not 0, 1, 2, ...", where, "export again")
    return labels


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r:.40} is not a list")
    return tuple(map(str, values))
