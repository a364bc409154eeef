"""The command scores, goes on, prints what was done, and refuses in one line."""

import json
from pathlib import Path

import pytest

from tagmill import cli
from tagmill.studies.scores.score_command import score_command
from tagmill.studies.scores.score_files import open_scores
from tests.studies.scores.scored import small_corpus, small_teacher


def test_the_command_scores_and_says_what_was_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher, made = small_teacher(tmp_path / "teacher", loss="sigmoid"), small_corpus(tmp_path / "corpus")
    words = [teacher, made.url, "--output", str(tmp_path / "scores"), "--top", "2", "--split", "all", "--threads", "1"]
    score_command([*words, "--processes", "1"])
    said = capsys.readouterr().out
    assert "46 of 48 scored, 2 labels each" in said and "2 decoder_failed" in said and "sigmoid" in said
    score_command([*words, "--json"])
    told, scores = json.loads(capsys.readouterr().out), open_scores(str(tmp_path / "scores"))
    assert told["digest"] == scores.digest and told["skipped"] == {"decoder_failed": 2} and told["parts"] == 1
    assert (told["scored"], told["rows"], told["loss"], told["labels"]) == (46, 92, "sigmoid", 7)
    with pytest.raises(SystemExit):
        cli.main(["teach", "score", *words[:4], "--top", "3", "--split", "all"])
    refused = capsys.readouterr().err
    assert "tagmill teach score: the scores here were begun with top 2, not 3" in refused and refused.count("\n") == 1


def test_only_the_first_process_of_a_world_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    teacher, made = small_teacher(tmp_path / "teacher"), small_corpus(tmp_path / "corpus")
    score_command([teacher, made.url, "--output", str(tmp_path / "scores"), "--top", "2"])
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "scores/parts/000000.parquet").exists() and not (tmp_path / "scores/done.json").exists()
