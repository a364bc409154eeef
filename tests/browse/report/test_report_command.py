"""`tagmill corpus report`: the page in the corpus or in a file."""

from pathlib import Path

import pytest

from tagmill.browse.report.report_command import report_command
from tagmill.shards import ConfigError, CorpusError
from tests.browse.worded import make_worded


def test_the_page_goes_into_the_corpus_or_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_worded(tmp_path / "corpus")
    report_command([str(tmp_path / "corpus")])
    report_command([str(tmp_path / "corpus"), "--output", str(tmp_path / "page.html")])
    assert capsys.readouterr().out.splitlines() == [f"{tmp_path}/corpus/report.html", f"{tmp_path}/page.html"]
    assert (tmp_path / "page.html").read_bytes() == (tmp_path / "corpus/report.html").read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_errors_say_what_and_where(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus here"):
        report_command([str(tmp_path)])
    make_worded(tmp_path / "corpus")
    with pytest.raises(ConfigError, match="cannot be written"):
        report_command([str(tmp_path / "corpus"), "--output", str(tmp_path / "missing/page.html")])
