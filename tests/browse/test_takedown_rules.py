"""What a takedown list forbids to show: samples, and rows that never were samples."""

from pathlib import Path
from typing import Any

from tagmill.browse.takedown_rules import ForbiddenRows
from tests.browse.worded import digest_of, key_of, make_worded, take_down_sample, url_of

ROW: dict[str, Any] = {"key": None, "sha256": None, "url": None, "yields_to": None, **{f"pdq{n}": n for n in range(4)}}


def test_nothing_is_forbidden_without_a_list(tmp_path: Path) -> None:
    forbidden = ForbiddenRows.of(make_worded(tmp_path))
    assert not (forbidden.url(url_of(1)) or forbidden.key(key_of(1)) or forbidden.host("host1.example"))
    assert not forbidden.picture({**ROW, "key": key_of(1)})


def test_a_row_is_forbidden_by_its_url_its_bytes_and_the_sample_it_is_a_copy_of(tmp_path: Path) -> None:
    forbidden = ForbiddenRows.of(take_down_sample(make_worded(tmp_path), 1))
    assert forbidden.url(url_of(1)) and not forbidden.url(url_of(2)) and not forbidden.url(None)
    assert forbidden.key(key_of(1)) and not forbidden.key(key_of(2))
    assert forbidden.picture({**ROW, "key": key_of(1), "sha256": digest_of(1)})
    assert forbidden.picture({**ROW, "yields_to": key_of(1)}) and forbidden.picture({**ROW, "url": url_of(1)})
    assert not forbidden.picture({**ROW, "key": key_of(2), "sha256": digest_of(2), "url": url_of(2)})
