"""Tests images that a C2PA library signed, and images with XMP, against what may be ignored."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagmill.ingest.reasons import Reason
from tagmill.ingest.statements.in_picture import forbidding_statement
from tests.ingest.statements.test_metadata_blocks import jpeg, segment

SIGNED = Path(__file__).parent / "signed"
IPTC, C2PA = Reason.IPTC_RESERVED, Reason.C2PA_RESERVED
BOTH = frozenset([IPTC, C2PA])
PACKET = (
    b"http://ns.adobe.com/xap/1.0/\0<plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED</plus:DataMining>"
)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "gif", "tif"])
def test_a_signed_image_of_each_format_is_read(kind: str) -> None:
    body = (SIGNED / f"forbidden.{kind}").read_bytes()
    assert forbidding_statement(body, BOTH) == (C2PA, "cawg.ai_generative_training: notAllowed")
    assert Image.open(SIGNED / f"forbidden.{kind}").size == (16, 16)


def test_signed_images_that_allow_and_that_have_conditions() -> None:
    assert forbidding_statement((SIGNED / "allowed.jpg").read_bytes(), BOTH) is None
    found = forbidding_statement((SIGNED / "constrained.jpg").read_bytes(), BOTH)
    assert found == (C2PA, "c2pa.ai_training: constrained")


def test_an_opt_out_holds_where_the_signature_is_broken() -> None:
    body = bytearray((SIGNED / "forbidden.jpg").read_bytes())
    place = body.index(b"c2pa.signature") + 200
    body[place : place + 64] = bytes(64)
    body[-20] ^= 1  # the image was changed after it was signed
    assert forbidding_statement(bytes(body), BOTH) == (C2PA, "cawg.ai_generative_training: notAllowed")


def test_each_statement_can_be_ignored_alone() -> None:
    signed = (SIGNED / "forbidden.jpg").read_bytes()
    both = signed[:2] + segment(0xE1, PACKET) + signed[2:]
    assert forbidding_statement(both, BOTH) == (IPTC, "DMI-PROHIBITED")
    assert forbidding_statement(both, frozenset([C2PA])) == (C2PA, "cawg.ai_generative_training: notAllowed")
    assert forbidding_statement(both, frozenset([IPTC])) == (IPTC, "DMI-PROHIBITED")
    assert forbidding_statement(both, frozenset()) is None and forbidding_statement(signed, frozenset([IPTC])) is None
    assert forbidding_statement(jpeg(), BOTH) is None


@given(st.binary(max_size=500))
def test_no_bytes_raise(body: bytes) -> None:
    for head in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF89a"):
        found = forbidding_statement(head + body, BOTH)
        assert found is None or found[0] in BOTH
