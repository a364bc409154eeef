"""A finished part under longer lists is the part that would have been made under them."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.filters.blocklist import Blocklist
from tagmill.ingest.filters.pinned import Forbidden, read_rules
from tagmill.ingest.filters.takedown_rules import Denylist, rule
from tagmill.ingest.layout import BLOCKLIST_PIN, TAKEDOWN_PIN, attempt_file, done_file, facts_file
from tagmill.ingest.parts import row_groups
from tagmill.ingest.parts.make import PartSummary, run_part
from tagmill.ingest.parts.review import review
from tagmill.ingest.parts.row_groups import StoredTable
from tagmill.shards.storage.store import Store
from tests.ingest.liar import Liar
from tests.ingest.parts.test_make import begun, check_facts, content, table_of, task, web
from tests.shards.countedstore import counted_store

__all__ = ["web"]  # a fixture


def pinned(store: Store, denied: Denylist, blocked: Blocklist) -> None:
    store.put(TAKEDOWN_PIN, denied.json())
    store.put(BLOCKLIST_PIN, blocked.data())


def made_under(config: Any, denied: Denylist, blocked: Blocklist, told: Counter[str] | None = None) -> PartSummary:
    """The part under these lists, be it made or looked at again."""
    pinned(Store(config.output), denied, blocked)
    job = dataclasses.replace(task(config), rules=read_rules(Store(config.output)))
    return run_part(job, lambda outcome, num_rows: told.update({outcome: num_rows}) if told is not None else None)


FIRST = Denylist(frozenset([rule("host", "elsewhere.example")])), Blocklist(md5=frozenset(["0" * 32]))
KINDS = ["url", "host", "sha256", "key", "pdq", "blocked sha256", "blocked pdq", "blocked md5", "nothing"]


def grown(kind: str, row: dict[str, Any], web: Liar, config: Any) -> tuple[Denylist, Blocklist]:
    """Longer lists, by which the picture of `row` must not come in, and a URL that gave none."""
    import hashlib

    denied, blocked = FIRST
    digits = "".join(f"{row[f'pdq{word}'] & (1 << 64) - 1:016x}" for word in range(4))
    if kind.startswith("blocked"):
        body = web.answers["/6.png"].body
        entries = {"sha256": row["sha256"], "pdq": digits, "md5": hashlib.md5(body).hexdigest()}
        more = Blocklist(**{kind.split()[1]: frozenset([entries[kind.split()[1]]])})
        return denied, blocked | more
    values = {"url": row["url"], "host": "127.0.0.1", "sha256": row["sha256"], "key": row["key"], "pdq": digits}
    rules = [] if kind == "nothing" else [rule(kind, values[kind])]
    rules += [rule("url", web.url("/404"))] if kind == "url" else []
    return Denylist(denied.rules | set(rules) | {rule("host", "other.example")}), blocked


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, web: Liar) -> Iterator[dict[str, Any]]:
    """The row of a picture."""
    config = begun(tmp_path_factory.mktemp("plain"), web, rows_per_part=1000)
    rows = table_of(config, made_under(config, *FIRST)).to_pylist()
    yield next(row for row in rows if row["url"] == web.url("/6.png"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_part_of_a_fresh_run(tmp_path: Path, web: Liar, plain: dict[str, Any], kind: str) -> None:
    config, fresh = (begun(tmp_path / name, web, rows_per_part=1000) for name in ("again", "fresh"))
    lists = grown(kind, plain, web, config)
    first = made_under(config, *FIRST)
    hits, told = Counter(web.hits), Counter[str]()
    again = made_under(config, *lists, told)
    asked = web.hits != hits
    wanted = made_under(fresh, *lists)
    assert content(config, [again]) == content(fresh, [wanted])
    assert (again.ok, again.reasons, again.rows) == (wanted.ok, wanted.reasons, wanted.rows)
    assert told == Counter(again.reasons) + Counter(ok=again.ok)
    assert asked == (kind == "blocked md5")  # of a picture no md5 is kept
    assert (again.attempt == first.attempt) == (kind == "nothing")
    store = Store(config.output)
    assert PartSummary.parse(store.read(done_file(0))).rules == again.rules == read_rules(store)
    assert sorted(Path(config.output, "parts/000000").glob("*.parquet")) == sorted(
        Path(config.output, "parts/000000", f"{name}.parquet")
        for name in (f"{again.attempt}.facts", again.attempt, "rows")
    )
    check_facts(config, again)
    assert made_under(config, *lists) == again  # once is enough


def test_killed_in_the_middle_it_is_looked_at_again(
    tmp_path: Path, web: Liar, plain: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, fresh = (begun(tmp_path / name, web, rows_per_part=1000) for name in ("again", "fresh"))
    lists = grown("sha256", plain, web, config)
    first, put = made_under(config, *FIRST), Store.put
    for kill in range(3):  # before the facts, the pictures, and the marker that names both
        with monkeypatch.context() as patch:
            left = [KeyboardInterrupt()] + [None] * kill

            def gone(self: Store, name: str, *of: Any, left: list[Any] = left, **how: Any) -> None:
                if name.startswith("parts/000000/") and (error := left.pop()):
                    raise error
                put(self, name, *of, **how)

            patch.setattr(Store, "put", gone)
            with pytest.raises(KeyboardInterrupt):
                made_under(config, *lists)
        assert PartSummary.parse(Store(config.output).read(done_file(0))) == first
        check_facts(config, first)
    again = made_under(config, *lists)
    assert content(config, [again]) == content(fresh, [made_under(fresh, *lists)])
    check_facts(config, again)


ARROW_READ = 1 << 16  # bytes that Arrow reads for the footer


class InMemory:
    """A part made under FIRST, in a store that counts requests, and where its images are."""

    def __init__(self, folder: Path, web: Liar, patch: pytest.MonkeyPatch) -> None:
        config = begun(folder, web, rows_per_part=1000)
        made = made_under(config, *FIRST)
        names = attempt_file(0, made.attempt), facts_file(0, made.attempt)
        self.driver, self.folder = counted_store(patch), folder
        self.driver.objects = {name: Path(config.output, name).read_bytes() for name in names}
        self.pictures, self.facts = StoredTable(names[0], made.size), names[1]
        metadata = pq.ParquetFile(pa.BufferReader(self.driver.objects[names[0]])).metadata
        last = metadata.num_columns - 1
        images = [metadata.row_group(number).column(last) for number in range(metadata.num_row_groups)]
        assert {each.path_in_schema for each in images} == {"jpeg"}
        self.images = [(each.data_page_offset, each.total_compressed_size) for each in images]
        self.end = made.size - ARROW_READ
        assert self.image_bytes([(0, made.size)]) > 0
        for limit in ("WHOLE_READ", "FOOTER_READ"):  # the part is small
            patch.setattr(row_groups, limit, ARROW_READ)

    def review(self, denied: Denylist, blocked: Blocklist) -> bool:
        """Returns whether the part changes."""
        of = Store("s3://there"), self.pictures, self.facts, self.folder, Forbidden(denied, blocked)
        return review(*of) is not None

    def asked(self) -> list[tuple[int, int]]:
        """The ranges that were asked for."""
        return [(start, stop) for name, start, stop in self.driver.ranges if name == self.pictures.name]

    def image_bytes(self, ranges: list[tuple[int, int]]) -> int:
        """Bytes of images in these ranges, before what is read with the footer."""
        stops = [(start, min(stop, self.end)) for start, stop in ranges]
        return sum(max(0, min(stop, at + size) - max(start, at)) for start, stop in stops for at, size in self.images)


def test_facts_are_enough_where_no_list_has_a_digest_and_nothing_is_forbidden(
    tmp_path: Path, web: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = InMemory(tmp_path, web, monkeypatch)
    far = Denylist(frozenset([rule("host", "other.example"), rule("pdq", "f" * 64)]))
    assert not part.review(far, Blocklist(pdq=frozenset(["0" * 63 + "f"])))
    assert part.driver.counts == {"read": 1} and not part.driver.ranges


def test_no_image_is_read_for_digests_that_no_image_has(
    tmp_path: Path, web: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = InMemory(tmp_path, web, monkeypatch)
    assert not part.review(Denylist(frozenset([rule("key", "0" * 32)])), Blocklist(sha256=frozenset(["0" * 64])))
    assert len(part.asked()) > 1 and part.image_bytes(part.asked()) == 0


def test_images_are_read_once_where_a_row_changes(
    tmp_path: Path, web: Liar, plain: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    part = InMemory(tmp_path, web, monkeypatch)
    assert part.review(Denylist(frozenset([rule("url", plain["url"])])), Blocklist())
    assert part.image_bytes(part.asked()) == part.image_bytes([(0, part.end)])
