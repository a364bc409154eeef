"""The log follows standard error."""

import io
import logging
import sys

import pytest

from tagmill.shards.progress.stderr_handler import StderrHandler


def test_a_record_goes_where_standard_error_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    handler, first, second = StderrHandler(), io.StringIO(), io.StringIO()
    log = logging.Logger("test")
    log.addHandler(handler)
    for number, sink in enumerate((first, second)):
        monkeypatch.setattr(sys, "stderr", sink)
        log.warning("line %s", number)
    handler.close()
    assert (first.getvalue(), second.getvalue()) == ("line 0\n", "line 1\n")
