"""Tests which entries of a training and data mining assertion forbid training, in CBOR and JSON."""

import json

import pytest

from tagmill.ingest.statements.training_mining import not_allowed_by

LABEL = b"\x13cawg.training-mining\0"


def text(value: str) -> bytes:
    """A text in CBOR."""
    data = value.encode()
    return (bytes([0x60 + len(data)]) if len(data) < 24 else bytes([0x78, len(data)])) + data


def cbor(value: object) -> bytes:
    if isinstance(value, dict):
        return bytes([0xA0 + len(value)]) + b"".join(text(name) + cbor(each) for name, each in value.items())
    return text(str(value))


def assertion(entries: dict[str, dict[str, str]], form: str, label: bytes = LABEL) -> bytes:
    content = {"entries": entries}
    return label + (
        b"\0\0\0\x97cbor" + cbor(content) if form == "cbor" else b"\0\0\0\x97json" + json.dumps(content).encode()
    )


@pytest.mark.parametrize("form", ["cbor", "json"])
@pytest.mark.parametrize("use", ["notAllowed", "constrained"])
@pytest.mark.parametrize("maker", ["cawg", "c2pa"])
@pytest.mark.parametrize("entry", ["ai_training", "ai_generative_training", "data_mining"])
def test_each_entry_of_training_counts(form: str, use: str, maker: str, entry: str) -> None:
    entries = {f"{maker}.ai_inference": {"use": "allowed"}, f"{maker}.{entry}": {"constraint_info": "x", "use": use}}
    assert not_allowed_by(assertion(entries, form)) == f"{maker}.{entry}: {use}"


@pytest.mark.parametrize("form", ["cbor", "json"])
def test_what_is_allowed_or_is_no_training_forbids_nothing(form: str) -> None:
    entries = {
        "cawg.ai_training": {"use": "allowed"},
        "cawg.ai_inference": {"use": "notAllowed"},
        "cawg.data_mining": {"use": "allowed"},
    }
    assert not_allowed_by(assertion(entries, form)) is None
    assert not_allowed_by(b"cawg.ai_training" + cbor({"use": "notAllowed"})) is None, "of no such assertion"
    assert not_allowed_by(b"") is None


def test_every_manifest_of_a_store_counts() -> None:
    yes = assertion({"cawg.ai_training": {"use": "allowed"}}, "cbor")
    no = assertion({"c2pa.data_mining": {"use": "notAllowed"}}, "cbor", b"\x13c2pa.training-mining\0")
    assert not_allowed_by(yes + bytes(50) + no) == not_allowed_by(no + yes) == "c2pa.data_mining: notAllowed"
    assert not_allowed_by(yes + yes) is None


def test_a_reference_to_an_assertion_is_none() -> None:
    claim = b"self#jumbf=c2pa.assertions/cawg.training-miningdhashX \0\1"
    assert (
        not_allowed_by(claim + assertion({"cawg.ai_training": {"use": "notAllowed"}}, "cbor"))
        == "cawg.ai_training: notAllowed"
    )
    assert not_allowed_by(claim) is None
