"""Small images of evaluation sets: those of pairs, from folders and tars, and none from what cannot be read."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest import IngestConfig
from tagmill.ingest.dedup import evaluation_pictures as pictures
from tagmill.ingest.dedup.decontamination import MATCHES
from tagmill.ingest.dedup.evaluation_pictures import evaluation_pictures
from tagmill.shards.formats.parquet import table_bytes
from tagmill.shards.storage.store import Store
from tests.pipeline.corpora import picture

LEAKS = "decontamination.parquet"


def put_pairs(store: Store, pairs: list[tuple[str, str]]) -> None:
    facts = {"row_id": 0, "distance": 0, "same_bytes": True}
    rows = [{"set": of, "evaluation_name": name, "key": f"{n:032x}", **facts} for n, (of, name) in enumerate(pairs)]
    store.put(LEAKS, table_bytes(rows, MATCHES))


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "below/1.jpg").write_bytes(picture(1))
    (folder / "2.jpg").write_bytes(b"no image")
    (folder / "3.jpg").write_bytes(picture(3))
    for name in (folder / "4.tar", tmp_path / "5.tar"):
        with tarfile.open(name, "w") as tar:
            for number in (6, 7):
                member = tarfile.TarInfo(f"{number}.jpg")
                member.size = len(picture(number))
                tar.addfile(member, io.BytesIO(picture(number)))
    return {"folder": folder, "tar": tmp_path / "5.tar"}


def found(tmp_path: Path, sets: dict[str, Any], pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    store = Store(str(tmp_path / "corpus"))
    put_pairs(store, pairs)
    given = tuple(f"{name}={path}" for name, path in sets.items())
    config = IngestConfig(input=("x",), output=store.url, evaluation_set=given, image_size=32)
    rows = evaluation_pictures(config, store, LEAKS)
    assert all(row["jpeg"][:2] == b"\xff\xd8" and row["key"] == row["sha256"][:32] for row in rows)
    return [(row["set"], row["name"]) for row in rows]


def test_images_of_pairs_are_found_in_folders_and_tars(tmp_path: Path, sets: dict[str, Path]) -> None:
    there = [("folder", "below/1.jpg"), ("folder", "4.tar/7.jpg"), ("tar", "5.tar/6.jpg")]
    pairs = [*there, ("folder", "2.jpg"), ("folder", "missing.jpg"), ("other", "1.jpg")]
    assert sorted(found(tmp_path, sets, pairs)) == sorted(there)


def test_only_the_first_pairs_are_looked_for(
    tmp_path: Path, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MOST", 1)
    assert found(tmp_path, sets, [("folder", "3.jpg"), ("folder", "below/1.jpg")]) == [("folder", "3.jpg")]


def test_a_set_that_is_gone_and_a_run_without_pairs_give_none(tmp_path: Path, sets: dict[str, Path]) -> None:
    gone = {"folder": tmp_path / "gone", "tar": tmp_path / "gone.tar", "hashes": tmp_path / "gone.csv"}
    assert found(tmp_path, gone, [("folder", "3.jpg"), ("tar", "gone.tar/6.jpg"), ("hashes", "row 000000001")]) == []
    store = Store(str(tmp_path / "empty"))
    config = IngestConfig(input=("x",), output=store.url, evaluation_set=(f"a={sets['folder']}",))
    assert evaluation_pictures(config, store, LEAKS) == []
