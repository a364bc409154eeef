"""Which texts are URLs that can be asked for, and where a redirect leads."""

import hashlib
import re
from urllib.parse import quote, urljoin

from yarl import URL

from tagmill.ingest.http.idn import ascii_host

_DEFAULT_PORTS = {"http": "80", "https": "443"}

_PLAIN = re.compile(r"https?://[a-z0-9.-]+/[!-\"$-~]*")  # normal already, as most are

_ADDRESS = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL)


_AS_WRITTEN = "".join(map(chr, range(0x21, 0x7F)))  # what a request line may hold; the rest is percent-encoded UTF-8
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")  # names that a resolver can be asked for (RFC 1035)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_RAW_BYTE = re.compile("[\udc80-\udcff]")  # a byte of a header that is not UTF-8, as "surrogateescape" decodes it
_LINE = re.compile(r"[\t\r\n]")


def parsed_url(url: str) -> URL | None:
    """A URL in its normal form if it is an http(s) one with a host; path and query as written, or signatures would break."""
    try:
        found = URL(quote(url, safe=_AS_WRITTEN, errors="replace"), encoded=True)
        host = found.raw_host or ""  # in ASCII; `host` would be decoded
        usable = found.scheme in ("http", "https") and found.port is not None
        usable = usable and bool(":" in host or (len(host) < 254 and _HOST.fullmatch(host)))
    except ValueError:  # yarl checks ports and hosts when they are looked at
        return None
    return found if usable else None


def why_not(url: str) -> str:
    """What is wrong with a text that `parsed_url` refuses, in a few words."""
    if not url:
        return "no URL"
    scheme = _SCHEME.match(url)
    if scheme is None:
        return "no scheme"
    if scheme[1].lower() not in ("http", "https"):
        return f"scheme {scheme[1][:20].lower()}"
    return "no host, or a host or port that is none"


def joined(url: URL, target: str) -> URL | None:
    """Where a redirect of a URL leads, read as browsers read it; None: to nothing that can be asked for.

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
    """The form in which equal http(s) URLs are equal: scheme and host in lower case, the host in its ASCII form, without
    default port, fragment and surrounding white space; path and query as they are. Other text comes back stripped.
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
        return url  # no host that can be asked
    return f"{scheme}://{user}{at}{name}{port}{rest if rest.startswith('/') else '/' + rest}"


def url_hash(url: str, seed: int) -> bytes:
    """The 32 bytes that decide a URL's part and place: sha256 of the seed (8 bytes, little-endian) and the normal form."""
    return hashlib.sha256(seed_bytes(seed) + normalise(url).encode("utf-8", "surrogatepass")).digest()


def seed_bytes(seed: int) -> bytes:
    return seed.to_bytes(8, "little", signed=True)
