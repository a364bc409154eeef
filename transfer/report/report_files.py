"""The files of a report in a store."""

from collections.abc import Sequence

from tagmill.shards import Store
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.report.error_images import error_images
from tagmill.transfer.report.page import detailed, transfer_page
from tagmill.transfer.report.report_facts import Judged, RunFacts, report_values
from tagmill.transfer.report.trained_on import Bounds
from tagmill.transfer.sets.labelled_set import LabelledSet

REPORT_JSON, REPORT_PAGE = "report.json", "report.html"


def write_report(
    store: Store,
    facts: RunFacts,
    found: Sequence[Judged],
    test: LabelledSet,
    *,
    images: int = 0,
    notes: Sequence[str] = (),
    bounds: Bounds | None = None,
) -> bytes:
    """Writes report.json and report.html, and returns the bytes of the JSON: the same for the same outcomes. `images`: errors
    of each outcome that the page shows; `notes`: warnings at its top."""
    values = report_values(facts, found)
    if bounds is not None:
        values["trained_on"] = bounds.values()
        values["lower_bounds"] = {each.file: bounds.values_of(each) for each in found if each.digest in bounds.of}
    report = canonical_json(values, indent=1)
    errors = {each.digest: error_images(each.outcome, test, images) for each in detailed(found)}
    store.put(REPORT_JSON, report)
    store.put(REPORT_PAGE, transfer_page(facts, found, errors, notes, bounds))
    return report
