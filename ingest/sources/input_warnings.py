"""Counts problems of an input that do not stop the ingest, and words the warnings about them."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class InputWarnings:
    """Counts of one input; `counts` are part of the corpus's lineage."""

    skipped: int = 0  # rows that are left out: by `where`, or because a preset knows them to be no images
    replaced: int = 0  # rows with invalid UTF-8, which became replacement characters
    joined: int = 0  # lines of CSV or TSV inside a quoted field, which are parts of the row before
    cut: bool = False  # the limit of rows ends before the input does

    def counts(self) -> dict[str, int]:
        """Returns the counts that are not zero."""
        found = {"skipped": self.skipped, "replaced_rows": self.replaced, "joined_lines": self.joined}
        return {name: count for name, count in found.items() if count}

    def warnings(self, url: str) -> Iterator[str]:
        """Yields warnings to show before the fetch begins, one line each."""
        if self.replaced:
            yield (
                f"{url}: {self.replaced:,} rows have bytes that are not UTF-8 (Latin-1 or Windows-1252?): a URL among them is "
                "asked for with other letters. Save the list as UTF-8: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
            )
        if self.joined:
            yield (
                f"{url}: {self.joined:,} lines are inside quoted fields and belong to the rows before them. "
                "If quotes are plain text in this list, give --quoting none"
            )
