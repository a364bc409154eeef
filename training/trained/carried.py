"""Which rows of a trained model's last layer a new vocabulary takes over (the transfer initialisation of CatLIP, Mehta et al.
2024)."""

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from tagmill.shards import Label
from tagmill.training.trained.labels import ModelLabel

K = TypeVar("K", bound=Hashable)


def carried_rows(new: Sequence[Label], old: Sequence[ModelLabel]) -> list[int | None]:
    """Returns for each new label the row of an old one, or None where it begins new, [L].

    A label takes the row of the one with the same synsets, else of the one with the same name (without regard to case, spaces
    and signs) if no other label has taken that. Synsets and names that several old labels have are not used.
    """
    by_synsets = _unique((frozenset(label.synsets), row) for row, label in enumerate(old) if label.synsets)
    by_name = _unique((plain_name(label.name), row) for row, label in enumerate(old))
    found = [by_synsets.get(frozenset(label.synsets)) for label in new]
    taken = {row for row in found if row is not None}
    for number, label in enumerate(new):
        row = by_name.get(plain_name(label.name))
        if found[number] is None and row is not None and row not in taken:
            found[number] = row
            taken.add(row)
    return found


def plain_name(name: str) -> str:
    """Returns a name as hashtags have it: letters and digits in lower case; itself if it has none."""
    return "".join(filter(str.isalnum, name.casefold())) or name


def _unique(pairs: Iterable[tuple[K, int]]) -> dict[K, int]:
    found: dict[K, int] = {}
    several = set[K]()
    for key, row in pairs:
        if key in found:
            several.add(key)
        found[key] = row
    return {key: row for key, row in found.items() if key not in several}
