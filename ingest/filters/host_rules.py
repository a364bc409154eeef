"""Host rules: normalises what a person writes to the form that hosts of URLs are compared with."""

import ipaddress
import re

from tagmill.ingest.http.idn import ascii_host
from tagmill.ingest.http.urls import normalise
from tagmill.shards.errors import ConfigError

_OF_URL = re.compile(r"https?://(?:[^/?#]*@)?(\[[^]]*\]|[^/?#:]*)", re.IGNORECASE)
_WRITTEN = re.compile(r"(?:(https?:)?//)?(\*?\.)?([^/?#]*)(/?)", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_PORT = re.compile(r"(.+):[0-9]*")
_REMEDY = "give a name such as example.org, or .example.org for it and all below it"


def host_of(url: str) -> str | None:
    """Returns the host of an http(s) URL in its ASCII form, without port; None where it has no host."""
    match = _OF_URL.match(normalise(url))
    if match is None or not match[1].isascii() or not match[1]:
        return None
    return _address(match[1]) or match[1].rstrip(".")


def host_rule(text: str) -> str:
    """Normalises a host rule to ASCII; a leading dot includes all hosts below it.

    `*.example.org` becomes `.example.org`, and a URL without a path becomes its host. Raises ConfigError for text that no whole
    host can match: other wildcards, paths, ports, user names.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None:
        remedy = f"give {_host_in(text)} for all of a host, or a URL with the kind url"
        raise ConfigError(f"{text!r} is a URL, or a part of one, and not a host", "takedown", remedy)
    dot, name = "." if match[2] else "", match[3]
    if "*" in name or (match[2] and not name):
        raise ConfigError(f"{text!r} is a pattern that is not supported", "takedown", _REMEDY)
    if address := _address(name):
        if not dot:
            return address
        raise ConfigError(f"{text!r} is an address, which has no hosts below it", "takedown", f"give {name}")
    if port := _PORT.fullmatch(name):
        remedy = f"give {dot}{port[1]}, which matches every port"
        raise ConfigError(f"{text!r} has a port", "takedown", remedy)
    host = ascii_host(name.removesuffix(".")) or ""
    if not _NAME.fullmatch(host) or len(host) > 253 or host.rpartition(".")[2].isdigit():
        raise ConfigError(f"{text!r} is no host", "takedown", _REMEDY)
    return dot + host


def _address(host: str) -> str | None:
    """Returns the normal form of an IP address, IPv6 in brackets; None for a name."""
    try:
        ip = ipaddress.ip_address(host.removeprefix("[").removesuffix("]") if host.startswith("[") else host)
    except ValueError:
        return None
    return f"[{ip}]" if ip.version == 6 else str(ip)


def _host_in(text: str) -> str:
    """Guesses the host that a person meant, for a message."""
    return host_of(text if "://" in text else f"http://{text}") or "example.org"
