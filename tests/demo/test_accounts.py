"""Tests the comparison of ingest with what was planted, on a handmade list and rejects."""

import io
import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.demo.accounts import SAMPLE, accounts, fates, same_bytes
from tagmill.demo.concepts import CONCEPTS
from tagmill.demo.draw import draw
from tagmill.demo.plant import generator
from tagmill.ingest.config.image_policy import ImagePolicy

KINDS = ["picture", "exact_copy", "near_copy", "broken_404", "leak_exact", "leak_exact", "same_url"]
OF = ["", "0", "0", "", "evaluation/a.jpg", "evaluation/a.jpg", "0"]
GOOD = {1: "duplicate", 2: "near_duplicate", 3: "not_found", 4: "evaluation", 5: "evaluation", 6: "duplicate"}


LEAK = ("leak_near", "evaluation/a.jpg")


def picture(number: int, quality: int) -> bytes:
    """Returns a unique drawing; at another quality it is nearly the same image."""
    file = io.BytesIO()
    draw(generator(3, number, 2), CONCEPTS[number].name).save(file, "JPEG", quality=quality)
    return file.getvalue()


def laid_out(
    folder: Path, rejects: dict[int, str], *more: tuple[str, str], far: bool = False, share: float = 1.0
) -> tuple[Path, Path]:
    """Writes a web and a corpus of KINDS and `more`, which find `share` of what is near; `far`: the near copy is
    another image."""
    web, corpus = folder / "web", folder / "corpus"
    (web / "pictures").mkdir(parents=True)
    (web / "evaluation").mkdir()
    (corpus / "rejects").mkdir(parents=True)
    kinds, of = [*KINDS, *(kind for kind, _ in more)], [*OF, *(source for _, source in more)]
    rows = list(range(len(kinds)))
    names = [f"{row}.jpg" for row in rows]
    truth = {"row": rows, "kind": kinds, "of": of, "path": [f"/{name}" for name in names], "file": names}
    pq.write_table(pa.table(truth), web / "truth.parquet")
    (web / "pictures" / "0.jpg").write_bytes(picture(0, 90))
    (web / "evaluation" / "a.jpg").write_bytes(picture(1, 90))
    for row, kind, source in zip(rows, kinds, of, strict=True):
        if kind in ("near_copy", "leak_near"):
            shown = 2 if far else int(source.startswith("evaluation/"))
            (web / "pictures" / names[row]).write_bytes(picture(shown, 60))
    (corpus / "corpus.json").write_text(json.dumps({"image_policy": asdict(ImagePolicy(128, 90, 16, 10**8))}))
    (corpus / "report.json").write_text(json.dumps({"sets": {"near": {"predicted": [share] * 32}}}))
    for part, (row, reason) in enumerate(rejects.items()):  # a file each: all are read
        pq.write_table(pa.table({"row_id": [row], "reason": [reason]}), corpus / "rejects" / f"{part:06d}.parquet")
    return web, corpus


def test_outcomes_are_samples_unless_rejected(tmp_path: Path) -> None:
    _, corpus = laid_out(tmp_path, GOOD)
    expected = [SAMPLE, "duplicate", "near_duplicate", "not_found", "evaluation", "evaluation", "duplicate"]
    assert fates(corpus, len(KINDS)) == expected


def test_there_is_no_difference_if_all_is_as_planted(tmp_path: Path) -> None:
    by_kind, wrong = accounts(*laid_out(tmp_path, GOOD))
    assert wrong == []
    assert by_kind["leak_exact"] == {"evaluation": 2}
    assert by_kind["broken_404"] == {"not_found": 1}


def test_a_near_copy_may_replace_its_original_and_a_leak_must_not_come_in(tmp_path: Path) -> None:
    group = {**GOOD, **dict.fromkeys((0, 1, 6), "near_duplicate")}
    del group[2]  # the larger copy stays
    assert accounts(*laid_out(tmp_path, group))[1] == []
    (tmp_path / "again").mkdir()
    _, wrong = accounts(*laid_out(tmp_path / "again", {**GOOD, 4: "duplicate"}))
    assert wrong[0] == "row 4, a sound leak_exact, became duplicate" and len(wrong) == 2


def test_differences_are_named(tmp_path: Path) -> None:
    rejects = {**GOOD, 3: "timeout", 2: "too_small"}
    del rejects[1]  # a copy that was not found
    _, wrong = accounts(*laid_out(tmp_path, rejects))
    assert [sentence.split(",")[0] for sentence in wrong] == ["row 2", "row 3", "of 3 rows with the bytes of 0"]


def test_a_missed_near_copy_is_named_only_if_it_could_be_found(tmp_path: Path) -> None:
    """Within reach of PDQ, and more than the tables are predicted to miss."""
    left = {row: reason for row, reason in GOOD.items() if row != 2}
    _, wrong = accounts(*laid_out(tmp_path / "near", left))
    assert wrong == ["of 1 near copies within reach, 1 are samples beside their originals: [2]"]
    assert accounts(*laid_out(tmp_path / "far", left, far=True))[1] == []
    assert accounts(*laid_out(tmp_path / "poor", left, share=0.5))[1] == []


@pytest.mark.parametrize("became", ["sample", "near_duplicate", "evaluation"])
def test_every_near_leak_within_reach_must_be_found(tmp_path: Path, became: str) -> None:
    row = len(KINDS)
    rejects = GOOD if became == SAMPLE else {**GOOD, row: became}
    _, wrong = accounts(*laid_out(tmp_path / "near", rejects, LEAK))
    assert wrong == ([] if became == "evaluation" else [f"row {row}, near an evaluation image, became {became}"])
    assert accounts(*laid_out(tmp_path / "far", {**rejects, 2: "near_duplicate"}, LEAK, far=True))[1] == []


def test_rows_of_the_same_bytes_are_grouped() -> None:
    truth = pa.table({"row": list(range(len(KINDS))), "kind": KINDS, "of": OF})
    assert same_bytes(truth) == {"0": [0, 1, 6], "evaluation/a.jpg": [4, 5]}
