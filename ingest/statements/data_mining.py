"""The property `plus:DataMining` of IPTC Photo Metadata 2023.1, in the vocabulary of the PLUS coalition, as XMP has it."""

import re

_TERM = re.compile(rb"DMI-PROHIBITED(?:-[A-Z]+)*")


def prohibited_by(packet: bytes) -> str | None:
    """Returns the term of an XMP packet that prohibits data mining, such as `DMI-PROHIBITED-AIMLTRAINING`; None: none does.

    Every term of prohibition counts, also those with an exception for search engines, for generative models alone, or with
    a condition to be read elsewhere. The packet may be in UTF-8, UTF-16 or UTF-32.
    """
    found = _TERM.search(packet) or (_TERM.search(packet.replace(b"\0", b"")) if b"\0" in packet else None)
    return found[0].decode() if found is not None else None
