"""The page of a selection: one HTML file, without scripts and without network."""

from collections.abc import Sequence
from dataclasses import dataclass

from tagmill.pages.standalone import standalone_page
from tagmill.shards import Store
from tagmill.shards.formats.report_pictures import SELECTION_PAGES
from tagmill.studies.selection.chosen_rows import ClassCount
from tagmill.studies.selection.places import PlacedImage, shown_order
from tagmill.studies.selection.selection_facts import SelectionFacts

MOST_ROWS = 2_000  # classes of the table
_UNIT = 1 << 16


@dataclass(frozen=True)
class ClassRow:
    """A class as the page shows it."""

    name: str
    count: ClassCount
    images: tuple[PlacedImage, ...]


def selection_page(corpus: str, path: str, facts: SelectionFacts, images: Sequence[PlacedImage]) -> bytes:
    """Returns the page as UTF-8. `path`: of the view in the corpus; `images`: by class."""
    of_class: dict[int, list[PlacedImage]] = {}
    for image in images:
        of_class.setdefault(image.label, []).append(image)
    order = shown_order(facts.chosen, scored=facts.rule != "tags")
    classes = facts.classes
    rows = [ClassRow(*classes[label], tuple(of_class.get(label, ()))) for label in order[:MOST_ROWS]]
    values = {
        "corpus": corpus,
        "path": path,
        "facts": facts,
        "rows": rows,
        "illustrated": [row for row in rows if row.images],
        "most": max((row.count.images for row in rows), default=0),
        "more": len(order) - len(rows),
        "score": lambda units: f"{units / _UNIT:.4f}",
    }
    return standalone_page("tagmill.studies.selection", "selection.html.jinja", values)


def put_page(store: Store, given: str | None, path: str, page: bytes) -> str:
    """Writes the page to the file `given`, by default into the corpus; returns its address."""
    if given is not None:
        folder, slash, name = given.rpartition("/")
        Store(folder or slash or ".").put(name, page)
        return given
    _, view, folder, _ = path.split("/")
    name = f"{SELECTION_PAGES}/{view}-{folder}.html"
    store.put(name, page)
    return f"{store.url.rstrip('/')}/{name}"
