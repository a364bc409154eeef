"""Every row becomes a request, a repetition or a reject, for the reason that a run would give."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dry_run.before_fetch import BeforeFetch, judge_rows
from tagmill.ingest.filters.takedown_rules import Denylist, rule
from tagmill.ingest.sources.locations import BYTES_FIELD

DENIED = Denylist(frozenset([rule("host", "gone.example"), rule("url", "http://a.example/secret")]))


def judged(urls: list[str | None], denied: Denylist = DENIED, **settings: Any) -> BeforeFetch:
    rows = {
        "row_id": range(len(urls)),
        "url": pa.array(urls, pa.string()),
        "tags": [[str(n)] for n in range(len(urls))],
    }
    return judge_rows(pa.table(rows), IngestConfig(input=("a.txt",), output="out", **settings), denied)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "bad_url"),
        ("ftp://a.example/1", "bad_url"),
        ("http://gone.example/1", "taken_down"),
        ("http://A.example:80/secret#x", "taken_down"),
        ("http://127.0.0.1/1", "private_address"),
        ("http://[::1]/1", "private_address"),
        ("http://printer.local/1", "private_address"),
        ("http://2130706433/", "private_address"),
    ],
)
def test_a_row_that_is_never_requested_has_the_reason_of_a_run(url: str | None, reason: str) -> None:
    found = judged([url])
    assert found.rejects == {reason: 1} and not found.requests and not found.hosts
    if reason == "private_address":
        assert len(judged([url], allow_private=True).requests) == 1


def test_a_url_is_requested_once_with_the_tags_of_all_its_rows() -> None:
    found = judged(["http://a.example/1", "http://b.example/", "HTTP://A.example:80/1", "http://a.example/1#x"])
    assert [(each.url, each.tags) for each in found.requests] == [
        ("http://a.example/1", ["0", "2", "3"]),
        ("http://b.example/", ["1"]),
    ]
    assert found.repeated == 2 and found.hosts == {"a.example": 1, "b.example": 1}


def test_places_in_a_tar_have_no_host_and_are_not_repeated() -> None:
    place = {"object": "/a.tar", "length": 9, "offset": 0, "size": 3, "reason": None, "detail": None}
    places = [place, place | {"reason": "no_picture"}, place | {"size": 1 << 40}, place]
    rows = {"row_id": range(4), "url": ["a.tar/1"] * 4, "tags": [["x"]] * 4}
    table = pa.table(rows).append_column(BYTES_FIELD, pa.array(places, BYTES_FIELD.type))
    found = judge_rows(table, IngestConfig(input=("a.tar",), output="out"), DENIED)
    assert len(found.requests) == 2 and not found.hosts and found.repeated == 0
    assert found.rejects == {"no_picture": 1, "too_big": 1}


@given(st.lists(st.none() | st.text(max_size=12) | st.sampled_from(["http://a.example/1", "http://10.0.0.1/"])))
def test_rows_are_requests_repetitions_and_rejects(urls: list[str | None]) -> None:
    found = judged(urls)
    assert len(urls) == len(found.requests) + found.repeated + found.rejects.total()
    assert found.hosts.total() == len(found.requests)
