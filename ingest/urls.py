"""Which texts are URLs that can be asked for, and where a redirect leads."""

import re
from urllib.parse import quote, urljoin

from yarl import URL

from tagmill.ingest.deal import normalise

_AS_WRITTEN = "".join(map(chr, range(0x21, 0x7F)))  # what a request line may hold; the rest is percent-encoded UTF-8
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")  # names that a resolver can be asked for (RFC 1035)


def parsed(url: str) -> URL | None:
    """The URL if it is an http(s) one with a host; path and query as they were written, or signatures would break."""
    try:
        found = URL(quote(url, safe=_AS_WRITTEN, errors="replace"), encoded=True)
        host = found.host or ""
        usable = found.scheme in ("http", "https") and found.port is not None
        usable = usable and bool(":" in host or (len(host) < 254 and _HOST.fullmatch(host)))
    except ValueError:  # yarl checks ports and hosts when they are looked at
        return None
    return found if usable else None


def joined(url: URL, target: str) -> URL | None:
    """Where a redirect of a URL leads; None: to nothing that can be asked for."""
    try:
        return parsed(normalise(urljoin(str(url), target))) if target else None
    except ValueError:
        return None
