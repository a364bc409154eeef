import io
import json
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tagmill.demo.plant import BROKEN
from tagmill.demo.web import STAMP, make_web, write_rows
from tagmill.shards.errors import ConfigError
from tests.demo.conftest import EVALUATION, ROWS, SEED
from tests.shards.progress.recorded import Recorded


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("rows.parquet", "requests.json")
    }


def test_bytes_do_not_depend_on_the_number_of_processes(web: Path, tmp_path: Path) -> None:
    progress = Recorded()
    summary = make_web(tmp_path / "b", seed=SEED, rows=ROWS, evaluation=EVALUATION, processes=2, progress=progress)
    assert summary.made and digests(tmp_path / "b") == digests(web)
    assert progress.stages == [("draw", progress.done["draw"])] and progress.done["draw"] > ROWS / 2


def test_a_finished_web_is_found_and_another_is_made_again(
    web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(web)
    summary = make_web(web, seed=SEED, rows=ROWS, evaluation=EVALUATION, processes=1)
    assert not summary.made and digests(web) == before
    folder = tmp_path / "small"
    monkeypatch.setattr("tagmill.demo.web._write_pictures", lambda place, *_: (place / "pictures").mkdir())
    make_web(folder, seed=1, rows=200, evaluation=1, processes=1)
    (folder / STAMP).write_text(json.dumps({**json.loads((folder / STAMP).read_text()), "finished": False}))
    stray = folder / "pictures" / "stray.jpg"
    stray.write_bytes(b"left over")
    assert make_web(folder, seed=1, rows=200, evaluation=1, processes=1).made and not stray.exists()


def test_other_frequencies_are_another_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagmill.demo.web._write_pictures", lambda *_: None)  # its plan decides
    made = [make_web(tmp_path, rows=200, evaluation=1, zipf=zipf) for zipf in (None, None, 1.1, 1.1, 1.2, None)]
    assert [each.made for each in made] == [True, False, True, False, True, True]
    assert made[2].concepts["car"] > made[0].concepts["car"] == made[5].concepts["car"]
    assert "zipf" not in json.loads((tmp_path / "demo-web.json").read_text())


def test_a_foreign_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="files that are not a demo"):
        make_web(tmp_path, rows=200)
    with pytest.raises(ConfigError, match="needs a folder"):
        make_web(tmp_path / "thesis.txt", rows=200)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_truth_table_matches_the_bytes(web: Path, truth: list[dict[str, Any]]) -> None:
    assert len(truth) == ROWS
    for row in truth:
        path = web / "pictures" / row["file"]
        if row["kind"] == "broken_404":
            assert not path.exists()
            continue
        content = path.read_bytes()
        if row["of"]:
            source = web / (row["of"] if "/" in row["of"] else f"pictures/{truth[int(row['of'])]['file']}")
            assert (content == source.read_bytes()) == (row["kind"] in ("exact_copy", "leak_exact", "same_url"))
        if row["kind"] == "broken_empty":
            assert content == b""
        elif row["kind"] == "broken_html":
            assert content.startswith(b"<!DOCTYPE html>")
        elif row["kind"] != "broken_truncated":
            with Image.open(io.BytesIO(content)) as image:
                image.load()


def test_images_are_all_different(web: Path, truth: list[dict[str, Any]]) -> None:
    own = [web / "pictures" / row["file"] for row in truth if row["kind"] == "picture"]
    own += list((web / "evaluation").rglob("*.jpg"))
    assert len({sha256(path.read_bytes()).digest() for path in own}) == len(own)


def test_totals_and_evaluation_folder(web: Path, truth: list[dict[str, Any]]) -> None:
    totals = json.loads((web / "truth.json").read_text())
    assert totals["kinds"] == Counter(row["kind"] for row in truth)
    assert sum(totals["concepts"].values()) == totals["rows"] == ROWS
    assert set(totals["broken"]) == set(BROKEN) <= set(totals["kinds"])
    pictures = list((web / "evaluation").glob("*/*.jpg"))
    assert len(pictures) == EVALUATION
    assert {path.parent.name for path in pictures} <= set(totals["synsets"].values())


def test_rows_are_the_list_a_user_would_bring(web: Path, truth: list[dict[str, Any]]) -> None:
    table = pq.read_table(write_rows(web, "http://127.0.0.1:8123/"))
    assert table.schema.names == ["url", "tags", "licence", "page"]
    rows = table.to_pylist()
    assert [row["url"] for row in rows] == ["http://127.0.0.1:8123" + row["path"] for row in truth]
    assert [row["tags"] for row in rows] == [row["tags"] for row in truth]
    assert all(row["page"].startswith("http://127.0.0.1:8123/") for row in rows)
    assert {row["licence"] for row in rows} > {"CC-BY-4.0", ""}
