"""What a commit leaves for the report: small images of rows that are no samples, the same however a run is divided."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tagmill.ingest import IngestConfig, ingest
from tagmill.shards.formats.report_pictures import REPORT_PICTURES, read_pictures_file
from tagmill.shards.storage.store import Store
from tests.ingest.smallweb import picture as drawn


def smaller(body: bytes) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(body)).convert("RGB").resize((150, 113)).save(file, "JPEG", quality=90)
    return file.getvalue()


def large(number: int) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(drawn(number))).convert("RGB").resize((320, 240)).save(file, "JPEG", quality=92)
    return file.getvalue()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Twelve images, of four of which there is a smaller one, and of two others one in an evaluation set."""
    folder = tmp_path_factory.mktemp("folders")
    for name in ("first", "second", "held"):
        (folder / name).mkdir()
    for number in range(12):
        (folder / f"first/{number}.jpg").write_bytes(large(number))
    for number in range(4):
        (folder / f"first/near{number}.jpg").write_bytes(smaller(large(number)))
    for number in (6, 7):
        (folder / f"held/{number}.jpg").write_bytes(smaller(large(number)))
    (folder / "second/1.jpg").write_bytes(large(20))
    (folder / "second/near1.jpg").write_bytes(smaller(large(20)))
    return {path.name: path for path in folder.iterdir()}


def config(folders: dict[str, Path], output: Path, **changes: Any) -> IngestConfig:
    settings: dict[str, Any] = {"input": (str(folders["first"]),), "image_size": 64, "processes": 1, **changes}
    return IngestConfig(output=str(output), evaluation_set=(f"held={folders['held']}",), **settings)


def kept(output: Path) -> list[tuple[str | None, str | None, str | None]]:
    rows = read_pictures_file(Store(str(output)).read(REPORT_PICTURES))
    assert all(max(Image.open(io.BytesIO(row["jpeg"])).size) <= 128 for row in rows)
    return [(row["reason"], row["url"], row["name"]) for row in rows]


def test_rejects_and_images_of_evaluation_sets_are_kept_however_the_run_is_divided(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    report = ingest(config(folders, tmp_path / "whole"))
    assert (report.rejects["near_duplicate"], report.rejects["evaluation"]) == (4, 2)
    found = kept(tmp_path / "whole")
    assert [each[0] for each in found] == ["evaluation"] * 2 + ["near_duplicate"] * 4 + [None] * 2
    assert [each[2] for each in found[-2:]] == ["6.jpg", "7.jpg"]
    parts = {"rows_per_part": 5}
    ingest(config(folders, tmp_path / "one", **parts, parts_per_group=9))
    ingest(config(folders, tmp_path / "many", **parts, parts_per_group=1, processes=2))
    assert (tmp_path / "one" / REPORT_PICTURES).read_bytes() == (tmp_path / "many" / REPORT_PICTURES).read_bytes()
    assert {each[0] for each in kept(tmp_path / "many")} == {"evaluation", "near_duplicate", None}


def test_an_extension_replaces_them_and_what_is_forbidden_is_not_kept(folders: dict[str, Path], tmp_path: Path) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("host nothing.example\n")
    ingest(config(folders, tmp_path / "corpus", takedown=(str(rules),)))
    ingest(config(folders, tmp_path / "corpus", input=(str(folders["second"]),), extend=True, takedown=(str(rules),)))
    assert [each[0] for each in kept(tmp_path / "corpus")] == ["near_duplicate"]
    assert not (tmp_path / "corpus/parts").exists()
