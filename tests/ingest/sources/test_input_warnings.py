"""Input warnings are counted by name and carry a remedy; without counts there are none."""

from tagmill.ingest.sources.input_warnings import InputWarnings


def test_counts_become_warnings() -> None:
    assert InputWarnings().counts() == {} and list(InputWarnings(skipped=3).warnings("a.csv")) == []
    assert InputWarnings(1, 2, 3).counts() == {"skipped": 1, "replaced_rows": 2, "joined_lines": 3}
    replaced, joined = InputWarnings(1, 2000, 3).warnings("a.csv")
    assert replaced.startswith("a.csv: 2,000 rows") and "iconv" in replaced
    assert joined.startswith("a.csv: 3 lines") and joined.endswith("give --quoting none")
