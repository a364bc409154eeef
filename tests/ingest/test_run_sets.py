"""Set work end to end over a small web: what is blocked, leaked, a placeholder or nearly the same, and which bytes remain."""

import functools
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tagmill.ingest import IngestConfig, Report, ingest
from tagmill.ingest.dedup.placeholders import Crowd
from tagmill.ingest.images.fingerprint import Fingerprint, fingerprint
from tagmill.ingest.images.prepare import Prepared, prepare
from tagmill.shards.formats.record import key_of
from tagmill.shards.lint import lint_shard, lint_view
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import View
from tests.ingest.liar import Liar, Lie
from tests.ingest.smallweb import config
from tests.ingest.test_run import digests

SIDE = 64  # pixels, of a picture and of what is stored
PLAIN = 12  # pictures that nothing is wrong with
PLACEHOLDER_URLS = 4
BLOCKED = ("sha256", "md5", "pdq", "near")  # by the line that forbids it; the last is nearly the picture of `pdq`
LEAKS, NEAR = 3, 4  # evaluation pictures in the list, and pictures of which it has a smaller copy


@functools.cache
def drawn(number: int, side: int = SIDE, quality: int = 92) -> bytes:
    """Small squares, unlike those of all other numbers; other sides and qualities are near copies of it."""
    cells = np.random.default_rng(number).integers(0, 256, (20, 20, 3), np.uint8)
    image = Image.fromarray(cells).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
    return file.getvalue()


def copied(number: int) -> bytes:
    """Nearly the same picture, smaller."""
    return drawn(number, 56, 80)


FORBIDDEN = {"sha256": drawn(100), "md5": drawn(101), "pdq": drawn(102), "near": copied(102)}


def answers() -> dict[str, tuple[bytes, list[str]]]:
    """(bytes, tags) of every URL of the web, by its path."""
    found = {f"/plain/{number}": (drawn(number), ["dog"]) for number in range(PLAIN)}
    found |= {f"/smaller/{number}": (copied(number), ["castle"]) for number in range(NEAR)}
    found |= {"/again/5": (drawn(5), ["tulip"])}
    found |= {f"/blocked/{kind}": (body, ["cats"]) for kind, body in FORBIDDEN.items()}
    found |= {f"/leaked/{number}": (drawn(200 + number), ["dog"]) for number in range(LEAKS)}
    found |= {f"/nearly/{number}": (copied(210 + number), ["dog"]) for number in range(LEAKS)}
    found |= {f"/gone/{number}": (drawn(300), ["dog"]) for number in range(PLACEHOLDER_URLS)}
    return found


def prints(body: bytes, settings: IngestConfig) -> tuple[Prepared, Fingerprint]:
    """What ingest stores of a picture, and what it knows it by."""
    made = prepare(body, settings.images)
    assert isinstance(made, Prepared)
    return made, fingerprint(body, made.thumbnail)


def digits(pdq: tuple[int, ...]) -> str:
    return "".join(f"{word & (1 << 64) - 1:016x}" for word in pdq)


class Sets:
    """The web, its list, and the lists and sets that forbid some of it."""

    def __init__(self, folder: Path, liar: Liar) -> None:
        self.web = answers()
        liar.answers |= {path: Lie(body) for path, (body, _) in self.web.items()}
        self.listing = folder / "rows.parquet"
        urls, tags = [liar.url(path) for path in self.web], [tags for _, tags in self.web.values()]
        columns = {"url": urls, "tags": pa.array(tags, pa.list_(pa.string())), "n": range(len(urls))}
        pq.write_table(pa.table(columns), self.listing)
        self.blocklist, self.evaluation = folder / "blocklist.txt", folder / "val"
        _, pdq = prints(FORBIDDEN["pdq"], self.config(folder))
        lines = [hashlib.sha256(FORBIDDEN["sha256"]).hexdigest(), hashlib.md5(FORBIDDEN["md5"]).hexdigest()]
        self.blocklist.write_text("# what must not be kept\n" + "\n".join([*lines, f"pdq:{digits(pdq.pdq)}"]))
        self.evaluation.mkdir()
        for number in range(200, 220):  # most of them are not in the list
            (self.evaluation / f"{number}.jpg").write_bytes(drawn(number))

    def config(self, output: Path, **changes: Any) -> IngestConfig:
        settings: dict[str, Any] = {
            "image_size": SIDE,
            "placeholder_urls": PLACEHOLDER_URLS,
            "blocklist": (str(self.blocklist),),
            "evaluation_set": (f"val={self.evaluation}",),
            "failure_budget": 1.0,
        }
        return config(str(self.listing), output, **{**settings, **changes})


class Built:
    """A corpus of that web, with its parts."""

    def __init__(self, sets: Sets, output: Path, **changes: Any) -> None:
        self.sets, self.output = sets, output
        self.config = sets.config(output, **changes)
        self.report: Report = ingest(self.config)
        self.corpus = Corpus.open(str(output))

    def rows(self, folder: str) -> list[dict[str, Any]]:
        return [
            row for path in sorted((self.output / folder).rglob("*.parquet")) for row in pq.read_table(path).to_pylist()
        ]

    def paths(self, reason: str) -> list[str]:
        """Of the URLs that were rejected so; in the input's order."""
        rejected = [row["row_id"] & (1 << 40) - 1 for row in self.rows("rejects") if row["reason"] == reason]
        return [list(self.sets.web)[row] for row in sorted(rejected)]

    def kept(self) -> list[str]:
        return [list(self.sets.web)[row] for row in sorted(row["n"] for row in self.rows("shards"))]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sets]:
    with Liar() as liar:
        yield Sets(tmp_path_factory.mktemp("sets"), liar)


@pytest.fixture(scope="module")
def built(sets: Sets, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(sets, tmp_path_factory.mktemp("built") / "corpus", keep_parts=True)


def test_every_row_has_its_fate(built: Built) -> None:
    of = {name: [path for path in built.sets.web if path.startswith(f"/{name}/")] for name in ("plain", "smaller")}
    assert built.kept() == of["plain"]
    assert built.paths("near_duplicate") == of["smaller"]
    assert built.paths("duplicate") == ["/again/5"]
    assert built.paths("blocked") == [f"/blocked/{kind}" for kind in BLOCKED]
    assert built.paths("placeholder") == [f"/gone/{number}" for number in range(PLACEHOLDER_URLS)]
    leaks = [f"/{kind}/{number}" for kind in ("leaked", "nearly") for number in range(LEAKS)]
    assert built.paths("evaluation") == leaks
    assert built.report.rows == len(built.sets.web) == len(built.kept()) + sum(built.report.rejects.values())
    for entry in built.corpus.entries:
        lint_shard(built.corpus, entry)
    lint_view(built.corpus, "default")


def inside(output: Path, body: bytes) -> list[str]:
    """The files that hold these bytes, as they are or in a column of a table."""
    found = []
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            columns = pq.read_table(io.BytesIO(data)).columns
            values = [column for column in columns if pa.types.is_binary(column.type)]
            data += b"".join(value or b"" for column in values for value in column.to_pylist())
        if body in data:
            found.append(str(path.relative_to(output)))
    return found


def test_no_file_has_the_bytes_of_a_blocked_picture(built: Built) -> None:
    """A kept picture is found in a part and in a shard, so that the search would find a blocked one."""
    kept, _ = prints(drawn(0), built.config)
    assert {name.split("/")[0] for name in inside(built.output, kept.jpeg)} == {"parts", "shards"}
    for kind, body in FORBIDDEN.items():
        made, known = prints(body, built.config)
        assert inside(built.output, made.jpeg) == [] == inside(built.output, body), kind
        assert not (kind == "near" and known.pdq == prints(FORBIDDEN["pdq"], built.config)[1].pdq)


def test_rejects_have_the_kind_of_entry_and_nothing_has_the_url(built: Built) -> None:
    blocked = sorted(
        (row for row in built.rows("rejects") if row["reason"] == "blocked"), key=lambda row: row["row_id"]
    )
    assert [row["detail"] for row in blocked] == ["sha256", "md5", "pdq", "pdq"]
    assert all(row["url"] is None for row in blocked)
    ledger = [row for row in built.rows("ledger") if row["status"] == "blocked"]
    assert len(ledger) == len(BLOCKED) and all(row["url"] is None for row in ledger)
    for folder in ("rejects", "ledger", "shards", "views"):
        assert not [row for row in built.rows(folder) if "/blocked/" in str(row)], folder
    for path in built.output.rglob("*.json"):
        assert path.is_relative_to(built.output / "parts") or b"/blocked/" not in path.read_bytes()


def test_every_leak_is_listed_and_counted(built: Built) -> None:
    listed = pq.read_table(built.output / "decontamination.parquet").to_pylist()
    expected = {(f"{number}.jpg", True) for number in range(200, 200 + LEAKS)}
    expected |= {(f"{number}.jpg", False) for number in range(210, 210 + LEAKS)}
    assert {(row["evaluation_name"], row["same_bytes"]) for row in listed} == expected and len(listed) == 2 * LEAKS
    for row in listed:
        number = int(row["evaluation_name"].removesuffix(".jpg"))
        met, own = drawn(number), drawn(number) if row["same_bytes"] else copied(number)
        bits = [int(digits(prints(body, built.config)[1].pdq), 16) for body in (met, own)]
        apart = (bits[0] ^ bits[1]).bit_count()
        assert (row["set"], row["distance"]) == ("val", apart) and apart <= 31
        assert row["evaluation_sha256"] == hashlib.sha256(met).hexdigest()
        assert row["key"] == key_of(hashlib.sha256(own).hexdigest())
    counts = built.report.sets.evaluation["val"]
    assert counts == {
        "pictures": 20,
        "broken": 0,
        "low_quality": 0,
        "found": 2 * LEAKS,
        "found_same_bytes": LEAKS,
        "met": 2 * LEAKS,
    }


def test_a_near_duplicate_yields_and_its_tags_go_to_the_picture_that_stays(built: Built) -> None:
    """So do those of the same bytes."""
    view = View.open(built.corpus, "default")
    words = {label.id: set(label.lemmas) for label in view.vocabulary.labels}
    found: dict[int, set[str]] = {}
    for number, entry in enumerate(built.corpus.entries):
        table = pq.read_table(built.output / "shards" / f"{entry.name}.parquet").to_pylist()
        for row, labels in zip(table, view.labels(number, 0, entry.samples).tolist(), strict=True):
            assert row["tags"] == ["dog"]  # what came with the row itself
            lemmas = set().union(*(words[label] for label in labels if label >= 0))
            found[row["n"]] = {"dog", "castle", "tulip", "cats"} & lemmas
    expected = {number: {"dog"} for number in range(PLAIN)}
    expected |= {number: {"dog", "castle"} for number in range(NEAR)} | {5: {"dog", "tulip"}}
    assert found == expected
    keys = {row["n"]: row["key"] for row in built.rows("shards")}
    yields = {
        row["row_id"] & (1 << 40) - 1: row["yields_to"] for row in built.rows("parts/selection") if row["yields_to"]
    }
    yielded = {list(built.sets.web)[row]: key for row, key in yields.items()}
    assert {path: yielded[path] for path in yielded if path.startswith("/smaller")} == {
        f"/smaller/{number}": keys[number] for number in range(NEAR)
    }


def test_three_processes_give_the_same_bytes(built: Built, tmp_path: Path) -> None:
    other = Built(built.sets, tmp_path / "corpus", processes=3, concurrency=3)
    assert digests(other.output) == digests(built.output)
    assert (other.output / "decontamination.parquet").read_bytes() == (
        built.output / "decontamination.parquet"
    ).read_bytes()


def test_marked_leaks_are_listed_and_kept(built: Built, tmp_path: Path) -> None:
    off: dict[str, Any] = {"blocklist": (), "placeholder_urls": 0, "near_threshold": -1}
    marked = Built(built.sets, tmp_path / "corpus", evaluation="mark", **off)
    assert marked.report.rejects == {"duplicate": PLACEHOLDER_URLS}  # of its pictures one stays, and of 5 one
    assert len(marked.kept()) == len(built.sets.web) - PLACEHOLDER_URLS
    tables = [pq.read_table(one.output / "decontamination.parquet") for one in (built, marked)]
    assert tables[0].equals(tables[1])


def test_a_short_list_has_a_placeholder_too(tmp_path: Path) -> None:
    """12 dead links lead to one picture, as hosts send one for all that is gone; 11 others to a reposted photograph."""
    listing, words = (
        tmp_path / "rows.csv",
        ["cat", "dog", "horse", "cow", "sheep", "goat", "lion", "tiger", "bear", "wolf", "fox"],
    )
    with Liar() as liar:
        rows = [(f"/removed/{number}", word, 400) for number, word in enumerate([*words, "deer"])]
        rows += [(f"/reposted/{number}", f"{word},tree", 401) for number, word in enumerate(words)]
        rows += [(f"/plain/{number}", "tulip", number) for number in range(2)]
        liar.answers |= {path: Lie(drawn(number)) for path, _, number in rows}
        listing.write_text("url,tags\n" + "".join(f'{liar.url(path)},"{tags}"\n' for path, tags, _ in rows))
        report = ingest(config(str(listing), tmp_path / "corpus", holdout=0, extra_columns=()))
    assert report.rejects == {"placeholder": 12, "duplicate": 10} and report.samples["train"] == 3
    reposted, removed = [key_of(hashlib.sha256(drawn(number)).hexdigest()) for number in (401, 400)]
    assert report.sets.crowds == [
        Crowd(removed, urls=12, tagged=12, tags=12, commonest=1, left_out=True),
        Crowd(reposted, urls=11, tagged=11, tags=12, commonest=11, left_out=False),
    ]
