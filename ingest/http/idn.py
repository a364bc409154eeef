"""The ASCII form of host names, in which they are resolved, compared and counted."""

import re
from urllib.parse import unquote

import idna

_LONGEST = 1000  # characters; a name has at most 253, and the mapping may drop a few
_JOINERS = re.compile("[\u200c\u200d]")
_NO_NAME = re.compile(
    r"[\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]"
)  # characters that neither decoding nor mapping may produce


def ascii_host(host: str) -> str | None:
    """Returns a host name in its ASCII form and in lower case, or None where it has none. IPv6 literals in brackets are kept.

    Names are mapped by UTS 46, and accepted as browsers accept them: emoji, underscores and hyphens, which IDNA 2008
    refuses, are encoded as they are, and percent-encoded UTF-8 is decoded.
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
    """Encodes each label with Punycode after the UTS 46 mapping."""
    try:
        labels = idna.uts46_remap(host, std3_rules=False).split(".")
        encoded = ".".join(label if label.isascii() else _punycode(label) for label in labels)
    except (idna.IDNAError, UnicodeError):
        return None
    return None if _NO_NAME.search(encoded) else encoded  # full-width delimiters are mapped to plain ones


def _punycode(label: str) -> str:
    """Encodes one label. Raises UnicodeError where the result is not a valid label."""
    encoded = "xn--" + label.encode("punycode").decode("ascii")
    if label.startswith("xn--") or _JOINERS.search(label) or len(encoded) > 63:
        raise UnicodeError
    return encoded
