"""The reconciliation of ingest with what was planted, on a list and rejects made by hand."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.demo.accounts import SAMPLE, accounts, fates, same_bytes

KINDS = ["picture", "exact_copy", "near_copy", "broken_404", "leak_exact", "leak_exact", "same_url"]
OF = ["", "0", "0", "", "evaluation/a.jpg", "evaluation/a.jpg", "0"]
GOOD = {1: "duplicate", 3: "not_found", 4: "evaluation", 5: "evaluation", 6: "duplicate"}


def laid_out(folder: Path, rejects: dict[int, str]) -> tuple[Path, Path]:
    web, corpus = folder / "web", folder / "corpus"
    web.mkdir()
    (corpus / "rejects").mkdir(parents=True)
    rows = list(range(len(KINDS)))
    truth = {"row": rows, "kind": KINDS, "of": OF, "path": [f"/{row}.jpg" for row in rows]}
    pq.write_table(pa.table(truth), web / "truth.parquet")
    for part, (row, reason) in enumerate(rejects.items()):  # a file each: they are all read
        pq.write_table(pa.table({"row_id": [row], "reason": [reason]}), corpus / "rejects" / f"{part:06d}.parquet")
    return web, corpus


def test_fates_are_samples_unless_rejected(tmp_path: Path) -> None:
    _, corpus = laid_out(tmp_path, GOOD)
    expected = [SAMPLE, "duplicate", SAMPLE, "not_found", "evaluation", "evaluation", "duplicate"]
    assert fates(corpus, len(KINDS)) == expected


def test_all_is_well_where_it_is_as_planted(tmp_path: Path) -> None:
    by_kind, wrong = accounts(*laid_out(tmp_path, GOOD))
    assert wrong == []
    assert by_kind["leak_exact"] == {"evaluation": 2}
    assert by_kind["broken_404"] == {"not_found": 1}


def test_a_picture_may_yield_to_its_near_copy_and_a_leak_must_not_come_in(tmp_path: Path) -> None:
    group = dict.fromkeys((0, 1, 6), "near_duplicate")
    assert accounts(*laid_out(tmp_path, {**GOOD, **group}))[1] == []
    (tmp_path / "again").mkdir()
    _, wrong = accounts(*laid_out(tmp_path / "again", {**GOOD, 4: "duplicate"}))
    assert wrong[0] == "row 4, a sound leak_exact, became duplicate" and len(wrong) == 2


def test_what_is_not_as_planted_is_named(tmp_path: Path) -> None:
    rejects = {**GOOD, 3: "timeout", 2: "too_small"}
    del rejects[1]  # a copy that came through
    _, wrong = accounts(*laid_out(tmp_path, rejects))
    assert [sentence.split(",")[0] for sentence in wrong] == ["row 2", "row 3", "of 3 rows with the bytes of 0"]


def test_rows_of_the_same_bytes_meet() -> None:
    truth = pa.table({"row": list(range(len(KINDS))), "kind": KINDS, "of": OF})
    assert same_bytes(truth) == {"0": [0, 1, 6], "evaluation/a.jpg": [4, 5]}
