"""Tests that errors are one line with fault, location and remedy, and can be pickled."""

import pickle

import pytest

from tagmill.shards.errors import ConfigError, CorpusError, InputError, IntegrityError, StoreError, TagmillError


def test_an_error_names_fault_location_and_remedy_in_one_line() -> None:
    error = TagmillError("12 bytes,\n  13 expected", "shards/000000.tar", "restore it")
    assert str(error) == "12 bytes, 13 expected (shards/000000.tar): restore it"
    assert str(TagmillError("no columns")) == "no columns"
    assert str(TagmillError("no columns", remedy="name one")) == "no columns: name one"


@pytest.mark.parametrize("kind", [TagmillError, ConfigError, InputError, StoreError, CorpusError, IntegrityError])
def test_an_error_survives_pickling(kind: type[TagmillError]) -> None:
    error = pickle.loads(pickle.dumps(kind("what", 7, "remedy")))  # noqa: S301 (our own bytes)
    assert type(error) is kind
    assert (error.what, error.where, error.remedy) == ("what", "7", "remedy")
    assert str(error) == "what (7): remedy"


def test_altered_bytes_are_a_fault_of_the_corpus() -> None:
    assert issubclass(IntegrityError, CorpusError)
    assert not issubclass(StoreError, CorpusError)
