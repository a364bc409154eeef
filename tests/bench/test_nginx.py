"""Tests that nginx serves a folder within the context, and that the error without nginx says how to install it."""

import os
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tagmill.bench import nginx
from tagmill.bench.workers import UnavailableError


def there() -> bool:
    try:
        nginx.program()
    except UnavailableError:
        return False
    return True


@pytest.mark.skipif(not there(), reason="no nginx here")
def test_a_folder_is_served_within_the_context(tmp_path: Path) -> None:
    (tmp_path / "000").mkdir()
    (tmp_path / "000/000001.jpg").write_bytes(bytes(range(256)))
    with nginx.serving(tmp_path) as url:
        with urllib.request.urlopen(f"{url}/000/000001.jpg") as answer:
            assert answer.read() == bytes(range(256)) and answer.headers["Content-Type"] == "image/jpeg"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/000/000002.jpg")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/000/000001.jpg")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["000", "000001.jpg"]


def test_without_nginx_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    monkeypatch.setattr(nginx, "SYSTEM", str(tmp_path))
    with pytest.raises(UnavailableError, match="nginx-light"), nginx.serving(tmp_path):
        raise AssertionError("served without nginx")


def test_a_failed_start_reports_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "nginx"
    broken.write_text("#!/bin/sh\necho 'bind() failed' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"bind\(\) failed"), nginx.serving(tmp_path):
        raise AssertionError("served without nginx")
