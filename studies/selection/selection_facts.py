"""What a selection did, as its view's recipe, its page and its JSON say it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tagmill.studies.selection.chosen_rows import Chosen, ClassCount, SelectionRule


@dataclass(frozen=True)
class SelectionFacts:
    """A selection: what determined it, and what was chosen."""

    view: str
    rule: SelectionRule
    k: int  # images of a class, after --k-share
    p: int  # labels of each image that can select it
    seed: int
    scores: str  # digest, 64 hex digits
    teacher: str
    loss: str  # softmax or sigmoid: what a score is
    scored: int  # images with scores, of all splits that were scored
    names: tuple[str, ...]  # of the classes, in the order of the view's labels
    left_out: tuple[str, ...]  # names of the teacher's labels without synsets
    chosen: Chosen
    tags_view: str | None = None  # digest of the view whose labels were matched, for the rule tags

    def recipe(self) -> dict[str, Any]:
        """Returns what the view's recipe has of it, beside the digest of its rows."""
        kept = ("rule", "k", "p", "seed", "scores", "tags_view")
        return {name: getattr(self, name) for name in kept}

    @property
    def classes(self) -> list[tuple[str, ClassCount]]:
        """Name and counts of each class, in the order of the view's labels."""
        return list(zip(self.names, self.chosen.counts, strict=True))

    @property
    def empty(self) -> list[str]:
        """Names of the classes without images."""
        return [name for name, count in self.classes if not count.images]

    @property
    def short(self) -> int:
        """Classes that have images, but fewer than K to choose from."""
        return sum(0 < count.available < self.k for _, count in self.classes)

    def values(self) -> Mapping[str, Any]:
        """Returns the facts for JSON."""
        return {
            "view": self.view,
            **self.recipe(),
            "teacher": self.teacher,
            "scored": self.scored,
            "classes": len(self.names),
            "rows": self.chosen.rows,
            "images": self.chosen.images,
            "classes_below_k": self.short,
            "classes_without_images": self.empty,
            "classes_without_synsets": list(self.left_out),
        }
