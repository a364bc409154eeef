"""The page of reject reasons."""

from tagmill.docs.generate.reasons import reasons_page
from tagmill.ingest.reasons import Reason


def test_every_reason_has_one_row_with_its_meaning() -> None:
    rows = [line.split(" | ") for line in reasons_page().splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == [f"| `{reason}`" for reason in Reason]
    assert all(len(row) == 2 and row[1].removesuffix(" |") == Reason(row[0][3:-1]).meaning for row in rows)
