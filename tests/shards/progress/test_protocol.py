"""A progress that shows nothing."""

import pytest

from tagmill.shards.progress.protocol import NoTraffic, Silent
from tests.shards.progress.use import use


def test_silence(capfd: pytest.CaptureFixture[str]) -> None:
    use(Silent())
    assert capfd.readouterr() == ("", "")
    assert (NoTraffic().size, NoTraffic().slowest) == (0, ())
