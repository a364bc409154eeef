"""The ASCII form of host names, in which they are resolved, compared and counted."""

import re
from urllib.parse import unquote

import idna

_LONGEST = 1000  # characters; a name has 253 at most, and mapping may drop a few
_JOINERS = re.compile("[\u200c\u200d]")
_NO_NAME = re.compile(r"[\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]")  # what no decoding and no mapping may bring into a name


def ascii_host(host: str) -> str | None:
    """A host name in its ASCII form and in lower case; None where it has none. An IPv6 literal in brackets stays.

    Names are mapped by UTS 46, and a name that browsers ask for is one here, too: emoji, underscores and hyphens, which
    IDNA 2008 refuses, are encoded as they are, and percent-encoded UTF-8 is decoded.
    """
    if host.startswith("["):
        return host.lower()
    if "%" in host:
        try:
            host = unquote(host, errors="strict")
        except UnicodeDecodeError:
            return None
        if _NO_NAME.search(host):
            return None
    if host.isascii():
        return host.lower()
    if len(host) > _LONGEST:
        return None
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return _as_browsers(host)


def _as_browsers(host: str) -> str | None:
    """Each label by Punycode, where UTS 46 maps its characters."""
    try:
        labels = idna.uts46_remap(host, std3_rules=False).split(".")
        encoded = ".".join(label if label.isascii() else _punycode(label) for label in labels)
    except (idna.IDNAError, UnicodeError):
        return None
    return None if _NO_NAME.search(encoded) else encoded  # full-width forms of delimiters are mapped to them


def _punycode(label: str) -> str:
    """Raises UnicodeError where it cannot be a label."""
    encoded = "xn--" + label.encode("punycode").decode("ascii")
    if label.startswith("xn--") or _JOINERS.search(label) or len(encoded) > 63:
        raise UnicodeError
    return encoded
