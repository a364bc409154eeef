"""The page of a result on VTAB: one HTML file, without scripts and without network."""

from collections.abc import Mapping
from typing import Any

from tagmill.pages.standalone import standalone_page
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.outcome.intervals import Estimate
from tagmill.transfer.report.drawings import Bar, interval_drawing
from tagmill.transfer.vtab.vtab_tasks import VTAB_GROUPS, VTAB_TASKS

_NAME_CELLS = 28  # of a name in the drawing


def vtab_page(values: Mapping[str, Any]) -> bytes:
    """Returns the page of what `vtab_values` returns, as UTF-8."""
    tasks = values["tasks"]
    bars = [Bar(safe_text(each["title"], _NAME_CELLS), Estimate(**each["top1"])) for each in tasks]
    given = {
        "values": values,
        "drawing": interval_drawing("Top-1 accuracy of each task", bars),
        "groups": [(group, [each for each in tasks if each["group"] == group]) for group in VTAB_GROUPS],
        "sizes": {group: sum(task.group == group for task in VTAB_TASKS) for group in VTAB_GROUPS},
        "number_of_tasks": len(VTAB_TASKS),
        "text": lambda value: canonical_json(value).decode().strip(),
    }
    return standalone_page("tagmill.transfer.vtab", "vtab.html.jinja", given)
