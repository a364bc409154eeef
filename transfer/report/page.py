"""The page of a report: one HTML file, without scripts and without network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.pages.standalone import standalone_page
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.outcome.figures import ClassFigures
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.right_classes import right_at, true_pairs
from tagmill.transfer.report.drawings import Bar, interval_drawing, matrix_drawing, sorted_drawing
from tagmill.transfer.report.error_images import ErrorImage
from tagmill.transfer.report.report_facts import Judged, RunFacts, averages, library_versions, predicted_name
from tagmill.transfer.report.trained_on import Bounds
from tagmill.transfer.report.verified import PaperSetting, paper_settings

MOST_DETAILED = 8  # outcomes with classes, confusions and errors; the JSON has all
MOST_SHOWN = 100  # of a table
MOST_MATRIX = 60  # classes of a drawn matrix
MOST_BARS = 60
_NAME_CELLS = 28  # of a name in a drawing


@dataclass(frozen=True)
class Detail:
    """An outcome that the page shows in full."""

    judged: Judged
    anchor: str
    classes: tuple[ClassFigures, ...]  # those of the table, worst first
    confusions: tuple[tuple[str, str | None, int], ...]  # true class, predicted class, images
    errors: tuple[ErrorImage, ...]
    by_class: str  # SVG
    matrix: str | None  # SVG


def detailed(judged: Sequence[Judged]) -> list[Judged]:
    """Returns the outcomes that the page shows in full: of the trained model the first of each variant."""
    first: dict[str, Judged] = {}
    for each in judged:
        if each.random_seed is None:
            first.setdefault(each.variant, each)
    return list(first.values())[:MOST_DETAILED]


def transfer_page(
    facts: RunFacts,
    judged: Sequence[Judged],
    errors: Mapping[str, Sequence[ErrorImage]],
    notes: Sequence[str] = (),
    bounds: Bounds | None = None,
) -> bytes:
    """Returns the page as UTF-8. `errors`: by the digest of an outcome; `notes`: warnings at its top; `bounds`: of the outcomes
    on images that training has seen."""
    details = [_detail(each, errors.get(each.digest, ()), number) for number, each in enumerate(detailed(judged), 1)]
    means = averages(judged)
    bars = [
        Bar(_short(each.variant, each.random), each.top1, each.random) for each in means if each.top1 is not None
    ] or [
        Bar(_short(each.variant, each.random_seed is not None), each.figures.top1, each.random_seed is not None)
        for each in judged
    ]
    values = {
        "facts": facts,
        "judged": judged,
        "averages": means,
        "details": details,
        "drawing": interval_drawing("Top-1 accuracy with intervals", bars[:MOST_BARS]) if bars else None,
        "papers": _papers(judged),
        "versions": library_versions(),
        "notes": notes,
        "bounds": bounds,
        "text": lambda value: canonical_json(value).decode().strip(),
    }
    return standalone_page("tagmill.transfer.report", "transfer.html.jinja", values)


def _detail(judged: Judged, errors: Sequence[ErrorImage], number: int) -> Detail:
    figures, outcome = judged.figures, judged.outcome
    names = [each.name for each in outcome.classes]
    known = [each for each in figures.per_class if each.top1 is not None]
    worst = sorted(known, key=lambda each: (each.right / each.images, -each.images))
    if len(worst) > MOST_SHOWN:
        worst = [*worst[: MOST_SHOWN // 2], *worst[-MOST_SHOWN // 2 :]]
    title = f"outcome {number}"
    return Detail(
        judged=judged,
        anchor=f"outcome-{number}",
        classes=tuple(worst),
        confusions=tuple(
            (names[each.truth], predicted_name(each, names), each.images) for each in figures.confusions[:20]
        ),
        errors=tuple(errors),
        by_class=sorted_drawing(f"Accuracies of classes, {title}", [each.right / each.images for each in known]),
        matrix=matrix_drawing(f"Confusion matrix, {title}", _matrix(outcome)) if len(names) <= MOST_MATRIX else None,
    )


def _matrix(outcome: Outcome) -> npt.NDArray[np.float64]:
    """Shares of predicted classes, each row sums to 1 or less."""
    size = len(outcome.classes)
    found = np.zeros((size, size))
    rows, labels = true_pairs(outcome)
    # A prediction that is another right class of the image is no confusion: it is on the diagonal.
    first = np.where(right_at(outcome)[rows, 0], labels, outcome.top[rows, 0])
    predicted = first >= 0
    np.add.at(found, (labels[predicted], first[predicted]), 1)
    return found / np.maximum(np.bincount(labels, minlength=size), 1)[:, None]


def _short(variant: str, random: bool) -> str:
    return safe_text(f"{variant}{', random' if random else ''}", _NAME_CELLS)


def _papers(judged: Sequence[Judged]) -> list[tuple[str, PaperSetting]]:
    found = ((each.outcome.protocol, setting) for each in judged for setting in paper_settings(each.outcome))
    return list(dict.fromkeys(found))
