"""Parses and normalises URLs, and resolves redirects."""

import hashlib
import re
from urllib.parse import quote, urljoin

from yarl import URL

from tagmill.ingest.http.idn import ascii_host

_DEFAULT_PORTS = {"http": "80", "https": "443"}

_PLAIN = re.compile(r"https?://[a-z0-9.-]+/[!-\"$-~]*")  # already in normal form, as most are

_ADDRESS = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL)


_AS_WRITTEN = "".join(
    map(chr, range(0x21, 0x7F))
)  # characters kept in a request line; others are percent-encoded as UTF-8
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")  # names that DNS can resolve (RFC 1035)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_RAW_BYTE = re.compile("[\udc80-\udcff]")  # a header byte that is not UTF-8, as decoded by "surrogateescape"
_LINE = re.compile(r"[\t\r\n]")


def parsed_url(url: str) -> URL | None:
    """Returns a normalised http(s) URL with a host, else None.

    Path and query are kept as written, as they may be signed.
    """
    try:
        found = URL(quote(url, safe=_AS_WRITTEN, errors="replace"), encoded=True)
        host = found.raw_host or ""  # ASCII; `host` would be decoded
        usable = found.scheme in ("http", "https") and found.port is not None
        usable = usable and bool(":" in host or (len(host) < 254 and _HOST.fullmatch(host)))
    except ValueError:  # yarl validates ports and hosts lazily
        return None
    return found if usable else None


def describe_bad_url(url: str) -> str:
    """Returns why `parsed_url` refuses a text, in a few words."""
    if not url:
        return "no URL"
    scheme = _SCHEME.match(url)
    if scheme is None:
        return "no scheme"
    if scheme[1].lower() not in ("http", "https"):
        return f"scheme {scheme[1][:20].lower()}"
    return "no host, or a host or port that is none"


def resolve_redirect(url: URL, target: str) -> URL | None:
    """Returns where a redirect of `url` leads, resolved as browsers do; None: to no http(s) URL.

    `target` is the value of a Location header, decoded as UTF-8 with "surrogateescape".
    """
    text = _LINE.sub("", target.strip())
    place, mark, rest = re.fullmatch(r"([^?#]*)([?#]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    text = place.replace("\\", "/") + mark + rest
    text = _RAW_BYTE.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", text)
    try:
        return parsed_url(normalise(urljoin(str(url), text))) if text else None
    except ValueError:
        return None


def normalise(url: str) -> str:
    """Returns the normal form of an http(s) URL, in which equal URLs have equal text; other text is only stripped.

    Scheme and host are in lower case, the host in its ASCII form; the default port, the fragment and surrounding white
    space are dropped; path and query are kept.
    """
    if _PLAIN.fullmatch(url):
        return url
    url = url.strip()
    match = _ADDRESS.fullmatch(url)
    if match is None:
        return url
    scheme, rest = match[1].lower(), match[3].rstrip()
    user, at, place = match[2].rpartition("@")
    host, port = re.fullmatch(r"(\[[^]]*\]|[^:]*)(.*)", place, re.DOTALL).groups()  # type: ignore[union-attr]
    if port in (":", ":" + _DEFAULT_PORTS[scheme]):
        port = ""
    name = ascii_host(host)
    if name is None:
        return url  # not a valid host
    return f"{scheme}://{user}{at}{name}{port}{rest if rest.startswith('/') else '/' + rest}"


def url_hash(url: str, seed: int) -> bytes:
    """Returns sha256(seed (8 bytes, little-endian) + normal form), 32 bytes, which decide a URL's part and its order there."""
    return hashlib.sha256(seed_bytes(seed) + normalise(url).encode("utf-8", "surrogatepass")).digest()


def seed_bytes(seed: int) -> bytes:
    """Returns the seed as 8 bytes, little-endian."""
    return seed.to_bytes(8, "little", signed=True)
