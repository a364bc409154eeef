"""What was noticed is counted by name and said with a way out; nothing is said of nothing."""

from tagmill.ingest.sources.input_warnings import InputWarnings


def test_what_was_noticed_is_said() -> None:
    assert InputWarnings().counts() == {} and list(InputWarnings(skipped=3).warnings("a.csv")) == []
    assert InputWarnings(1, 2, 3).counts() == {"skipped": 1, "replaced_rows": 2, "joined_lines": 3}
    replaced, joined = InputWarnings(1, 2000, 3).warnings("a.csv")
    assert replaced.startswith("a.csv: 2,000 rows") and "iconv" in replaced
    assert joined.startswith("a.csv: 3 lines") and joined.endswith("give --quoting none")
