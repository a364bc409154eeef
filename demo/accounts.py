"""Compares what ingest did with the demo's web against what was planted in it: every row, by its kind."""

from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.demo.ceiling import ceiling

SAMPLE = "sample"
ROW_BITS = (1 << 40) - 1  # of a row_id, the ordinal inside its file

# The reason that each broken answer must be counted as. A connection that closes early is detected by Content-Length or
# by the truncated JPEG.
EXPECTED = {
    "broken_404": {"not_found"},
    "broken_truncated": {"truncated"},
    "broken_cut_off": {"truncated", "connection"},
    "broken_html": {"not_an_image"},
    "broken_empty": {"empty"},
    "broken_huge_header": {"bad_headers"},
    "broken_slow": {"timeout"},
    "broken_forbidden": {"robots"},
}

COPIES = {SAMPLE, "duplicate", "near_duplicate"}
SOUND = {"leak_exact": {"evaluation"}, "leak_near": {*COPIES, "evaluation"}}


def fates(corpus: Path, rows: int) -> list[str]:
    """Returns the outcome of each row of the list, in order: 'sample' or the reason of its reject."""
    found = [SAMPLE] * rows
    for path in sorted((corpus / "rejects").glob("*.parquet")):
        table = pq.read_table(path, columns=["row_id", "reason"])
        for row_id, reason in zip(table["row_id"].to_pylist(), table["reason"].to_pylist(), strict=True):
            found[row_id & ROW_BITS] = reason
    return found


def accounts(web: Path, corpus: Path) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Returns (outcomes of the rows of each planted kind, one sentence for each difference from the truth).

    Exact: a broken answer is a reject with its reason; an evaluation image under another URL is found; of an image and
    its exact copies one row is a sample, unless a larger near copy replaces them. Near copies and near leaks are
    cropped, some too much for PDQ. Of those that comparing all hashes finds (`ceiling`), every leak must be found, and
    both copy and original may be samples for no more copies than the tables may miss.
    """
    truth = pq.read_table(web / "truth.parquet", columns=["row", "kind", "of", "path"])
    found = fates(corpus, truth.num_rows)
    by_kind: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: list[str] = []
    for row, kind in zip(truth["row"].to_pylist(), truth["kind"].to_pylist(), strict=True):
        by_kind[kind][found[row]] += 1
        if kind in EXPECTED and found[row] not in EXPECTED[kind]:
            wrong.append(f"row {row}, {kind}, became {found[row]}")
        elif kind not in EXPECTED and found[row] not in SOUND.get(kind, COPIES):
            wrong.append(f"row {row}, a sound {kind}, became {found[row]}")
    for original, group in same_bytes(truth).items():
        became = Counter(found[row] for row in group)
        allowed = {"evaluation"} if original.startswith("evaluation/") else {"near_duplicate"}
        if became[SAMPLE] != 1 and not (became.keys() <= allowed):
            wrong.append(f"of {len(group)} rows with the bytes of {original}, {became[SAMPLE]} are samples")
    if {"near_copy", "leak_near"} & by_kind.keys():
        wrong += _short_of_ceiling(web, corpus, truth, found)
    return {kind: dict(sorted(counts.items())) for kind, counts in sorted(by_kind.items())}, wrong


def _short_of_ceiling(web: Path, corpus: Path, truth: pa.Table, found: list[str]) -> list[str]:
    """Returns the near copies and near leaks that a complete comparison finds and deduplication missed."""
    most, groups = ceiling(web, corpus), same_bytes(truth)
    original = dict(zip(truth["row"].to_pylist(), truth["of"].to_pylist(), strict=True))
    wrong = [
        f"row {row}, near an evaluation image, became {found[row]}"
        for row in sorted(most.leaks)
        if found[row] != "evaluation"
    ]
    left = [
        row
        for row in most.copies
        if found[row] == SAMPLE and any(found[other] == SAMPLE for other in groups[original[row]])
    ]
    if len(left) > most.most_missed():
        wrong.append(
            f"of {len(most.copies)} near copies within reach, {len(left)} are samples beside their originals: {left}"
        )
    return wrong


def same_bytes(truth: pa.Table) -> dict[str, list[int]]:
    """Groups rows that were given the same bytes, by the original: a row's number or a file of the evaluation set."""
    groups: dict[str, list[int]] = defaultdict(list)
    exact = ("picture", "exact_copy", "same_url", "leak_exact")
    for row, kind, of in zip(*(truth[name].to_pylist() for name in ("row", "kind", "of")), strict=True):
        if kind in exact:
            groups[of or str(row)].append(row)
    return dict(groups)
