"""A stage of a chain: one training, and what it begins with and learns from. Nothing is read here."""

from dataclasses import dataclass
from typing import Literal

Source = Literal["labels", "tags", "chosen"]
"""What a network learns from: the few true labels, the tags, or the images that a selection chose."""
SelectionBy = Literal["teacher", "tags"]


@dataclass(frozen=True)
class Selection:
    """Images that are chosen for a student."""

    by: SelectionBy
    teacher: "Stage"  # whose scores choose; with tags, whose classes are matched with tags


@dataclass(frozen=True)
class Stage:
    """One training. Two arms with an equal stage share its runs."""

    learns: Source
    begins: "Stage | None" = None  # whose weights it begins with
    selection: Selection | None = None  # of `chosen`

    def __post_init__(self) -> None:
        if (self.learns == "chosen") != (self.selection is not None):
            raise ValueError(f"a stage that learns from {self.learns} with selection {self.selection}")

    @property
    def needs(self) -> "tuple[Stage, ...]":
        """The stages that must be there before this one begins."""
        teacher = None if self.selection is None else self.selection.teacher
        return tuple(each for each in (self.begins, teacher) if each is not None)

    @property
    def name(self) -> str:
        """A name that says how it came about, such as chosen-teacher(labels)>labels."""
        by = "" if self.selection is None else f"-{self.selection.by}({self.selection.teacher.name})"
        before = "" if self.begins is None else f"{self.begins.name}>"
        return f"{before}{self.learns}{by}"

    @property
    def fine_tuning(self) -> bool:
        """Whether it goes on from another network."""
        return self.begins is not None
