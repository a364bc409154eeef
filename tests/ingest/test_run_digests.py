"""Runs over lists with digests: no image that was replaced gets into the corpus, or it is marked."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest import ingest
from tagmill.ingest.endings.ingest_ending import ingest_ending
from tagmill.shards.errors import InputError
from tagmill.shards.manifest import Corpus
from tests.ingest.smallweb import config, picture, web

__all__ = ["web"]  # a fixture

OTHER = hashlib.sha256(b"another image").hexdigest()
SETTINGS: dict[str, Any] = {"extra_columns": (), "holdout": 0, "rows_per_part": 100}


def sha256(number: int) -> str:
    return hashlib.sha256(picture(number)).hexdigest()


def md5(number: int) -> str:
    return base64.b64encode(hashlib.md5(picture(number)).digest()).decode()


@pytest.fixture(scope="module")
def verified(web: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Images 1 and 2 are those of the list, 3 and 4 are others, 5 has no digest; of two rows of 6 the first has another
    digest; 7 has one that is none; the last is not there."""
    rows = [
        (f"{web}/picture/1", sha256(1), md5(1)),
        (f"{web}/picture/2", sha256(2).upper(), None),
        (f"{web}/picture/3", OTHER, None),
        (f"{web}/picture/4", sha256(4), md5(5)),
        (f"{web}/picture/5", None, None),
        (f"{web}/picture/6", OTHER, None),
        (f"{web}/picture/6", sha256(6), md5(6)),
        (f"{web}/picture/7", "unknown", None),
        (f"{web}/gone", OTHER, None),
    ]
    columns = dict(zip(("url", "sha256", "md5"), map(list, zip(*rows, strict=True)), strict=True))
    path = tmp_path_factory.mktemp("verified") / "rows.parquet"
    pq.write_table(pa.table({**columns, "tags": pa.array([["cats"]] * len(rows), pa.list_(pa.string()))}), path)
    return str(path)


def samples(output: Path) -> list[dict[str, Any]]:
    tables = [pq.read_table(output / "shards" / f"{entry.name}.parquet") for entry in Corpus.open(str(output)).entries]
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["url"])


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["url"].rpartition("/")[2]) for row in rows]


def test_another_image_than_the_lists_is_a_reject_with_its_digest(verified: str, tmp_path: Path) -> None:
    output = tmp_path / "corpus"
    report = ingest(config(verified, output, sha256_column="sha256", md5_column="md5", **SETTINGS))
    assert numbers(samples(output)) == [1, 2, 5, 6]
    assert report.rejects == {"altered": 4, "not_found": 1}
    assert (report.compared, report.altered) == (7, 0)
    assert "digests  7 compared with the list's" in "\n".join(ingest_ending(report))
    rejects = pa.concat_tables(map(pq.read_table, sorted(output.glob("rejects/*.parquet")))).to_pylist()
    details = {row["url"].rpartition("/")[2]: row["detail"] for row in rejects if row["reason"] == "altered"}
    assert details["3"] == f"sha256 {sha256(3)}, not the list's"
    assert details["4"] == f"md5 {hashlib.md5(picture(4)).hexdigest()}, not the list's"
    assert details["7"] == "the list's sha256 is none: 'unknown'"
    with pytest.raises(InputError, match=r"no md5.*--sha256-column"):
        ingest(config(verified, tmp_path / "wrong", md5_column="sha256", **SETTINGS))


def test_kept_altered_images_are_marked_and_counted(verified: str, tmp_path: Path) -> None:
    output = tmp_path / "corpus"
    report = ingest(config(verified, output, sha256_column="sha256", altered="keep", **SETTINGS))
    found = samples(output)
    # Of two rows of one URL the first in the corpus's order is the sample, so 6 is marked or not by its row.
    marks = {number: row["altered"] for number, row in zip(numbers(found), found, strict=True) if number != 6}
    assert marks == {1: False, 2: False, 3: True, 4: False, 5: None, 7: True}
    assert report.rejects == {"duplicate": 1, "not_found": 1}
    assert (report.compared, report.altered) == (7, 3)
    assert "7 compared with the list's, 3 of another image, which is kept" in "\n".join(ingest_ending(report))


def test_a_list_without_any_digest_is_said(web: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(
        pa.table({"url": [f"{web}/picture/1"], "tags": [["cats"]], "md5": pa.array([None], pa.string())}), path
    )
    report = ingest(config(str(path), tmp_path / "corpus", md5_column="md5", **SETTINGS))
    assert report.compared == 0
    assert any("No image was compared with a digest" in warning for warning in report.warnings)


def test_an_extension_compares_what_it_does_not_fetch_again(verified: str, web: str, tmp_path: Path) -> None:
    output = tmp_path / "corpus"
    ingest(config(verified, output, **SETTINGS))
    path = tmp_path / "more.parquet"
    urls = [f"{web}/picture/{number}" for number in (1, 2, 8)]
    pq.write_table(pa.table({"url": urls, "tags": [["cats"]] * 3, "sha256": [sha256(1), OTHER, sha256(8)]}), path)
    report = ingest(config(str(path), output, sha256_column="sha256", extend=True, **SETTINGS))
    assert report.rejects == {"altered": 1, "duplicate": 1}
    assert report.compared == 3
