"""Tests which terms of the PLUS vocabulary forbid data mining, however XMP writes them."""

import pytest

from tagmill.ingest.statements.data_mining import prohibited_by

VOCABULARY = "http://ns.useplus.org/ldf/vocab/"
ELEMENT = f"<plus:DataMining>{VOCABULARY}%s</plus:DataMining>"
ATTRIBUTE = f'<rdf:Description xmlns:p="http://ns.useplus.org/ldf/xmp/1.0/" p:DataMining="{VOCABULARY}%s"/>'
RESOURCE = f'<plus:DataMining rdf:resource="{VOCABULARY}%s"/>'
NO = [
    "DMI-PROHIBITED",
    "DMI-PROHIBITED-AIMLTRAINING",
    "DMI-PROHIBITED-GENAIMLTRAINING",
    "DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING",
    "DMI-PROHIBITED-SEECONSTRAINT",
    "DMI-PROHIBITED-SEEEMBEDDEDRIGHTSEXPR",
    "DMI-PROHIBITED-SEELINKEDRIGHTSEXPR",
]


@pytest.mark.parametrize("form", [ELEMENT, ATTRIBUTE, RESOURCE])
@pytest.mark.parametrize("term", NO)
def test_every_term_of_prohibition_counts_in_each_form(form: str, term: str) -> None:
    assert prohibited_by((form % term).encode()) == term


@pytest.mark.parametrize("term", ["DMI-ALLOWED", "DMI-UNSPECIFIED"])
def test_other_terms_forbid_nothing(term: str) -> None:
    assert prohibited_by((ELEMENT % term).encode()) is None
    assert prohibited_by(b"<dc:title>Prohibited: DMI</dc:title>") is None and prohibited_by(b"") is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_packet_may_be_in_each_encoding_of_xmp(encoding: str) -> None:
    assert prohibited_by((ELEMENT % NO[1]).encode(encoding)) == NO[1]


def test_of_several_statements_a_prohibition_counts() -> None:
    assert prohibited_by((ELEMENT % "DMI-ALLOWED" + ELEMENT % NO[0]).encode()) == NO[0]
