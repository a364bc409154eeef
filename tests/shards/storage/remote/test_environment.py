"""Environment variables are those of this moment."""

import pytest

from tagmill.shards.storage.remote.environment import is_true, variables


def test_variables_are_those_of_this_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert variables(b"TAGMILL_TEST_") == ()
    monkeypatch.setenv("TAGMILL_TEST_A", "é")
    assert variables(b"TAGMILL_TEST_", b"OTHER_TEST_") == (("TAGMILL_TEST_A", "é"),)
    monkeypatch.setenv("TAGMILL_TEST_A", "b")
    monkeypatch.setenv("OTHER_TEST_B", "")
    assert dict(variables(b"TAGMILL_TEST_", b"OTHER_TEST_")) == {"TAGMILL_TEST_A": "b", "OTHER_TEST_B": ""}


def test_words_for_yes() -> None:
    assert all(map(is_true, ["true", "True", "1", "yes", "ON"])) and not any(map(is_true, ["", "false", "0", "no"]))
