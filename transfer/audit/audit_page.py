"""The page of an audit: one HTML file, without scripts, without network, and without images unless they are asked for."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tagmill.pages.standalone import standalone_page
from tagmill.transfer.audit.associations import Associations
from tagmill.transfer.report.error_images import small_image
from tagmill.transfer.sets.labelled_set import LabelledSet

MOST_RESULTS = 100  # of the table; the JSON has all
MOST_EXAMPLES = 12  # findings of a group that have images
IMAGES_EACH = 6


@dataclass(frozen=True)
class FindingImages:
    """Images of a group for which the model predicts a label."""

    name: str
    group: str
    images: tuple[tuple[str, bytes | None], ...]  # key, and JPEG; None where it cannot be read


def audit_page(facts: Mapping[str, Any], examples: Sequence[FindingImages] = ()) -> bytes:
    """Returns the page of what `audit_facts` returns, as UTF-8."""
    values = {"facts": facts, "shown": facts["results"][:MOST_RESULTS], "examples": examples}
    return standalone_page("tagmill.transfer.audit", "audit.html.jinja", values)


def finding_images(
    found: Associations,
    images: LabelledSet,
    places: npt.NDArray[np.int64],
    top: npt.NDArray[np.int64],
    groups: Sequence[str],
) -> list[FindingImages]:
    """Returns some images of each finding, at most MOST_EXAMPLES findings, the least p first. `places`: [n], examples of
    the set; `top`: [n, k], labels; `groups`: [n]. Which images are shown is decided by a hash of their keys."""
    rows, columns = np.nonzero(found.found)
    order = np.argsort(found.p[rows, columns], kind="stable")[:MOST_EXAMPLES]
    own, made = np.array(groups, np.str_), list[FindingImages]()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        tested, group = found.counts.tested[column], found.counts.groups[row]
        met = np.flatnonzero(np.isin(top, tested.labels).any(axis=1) & (own == group))
        keys = {images.examples[place].key: place for place in places[met].tolist()}
        chosen = sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())[:IMAGES_EACH]
        shown = tuple((key, small_image(images.read([keys[key]])[0])) for key in chosen)
        made.append(FindingImages(tested.name, group, shown))
    return made
