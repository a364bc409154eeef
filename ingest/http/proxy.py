"""Proxies as the environment names them (`http_proxy`, `https_proxy`, `no_proxy`), and what may be asked for through one."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies_environment
from urllib.request import proxy_bypass_environment as goes_around  # type: ignore[attr-defined]  # documented nowhere

from tagmill.ingest.http.idn import ascii_host
from tagmill.ingest.http.public_addresses import may_be_public
from tagmill.shards.errors import ConfigError

SAYS = (
    "requests go through a proxy of the environment: names are resolved there, so that only the proxy can keep them from "
    "leading to private addresses"
)


class RefusedHostError(Exception):
    """A proxy would have been asked for a host that is not on the public internet."""


@dataclass(frozen=True)
class Proxies:
    """Which proxy leads to a URL. Their addresses may hold passwords: they are neither shown nor logged."""

    _environment: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(cls) -> Self:
        """Raises ConfigError for a proxy that is not spoken to over plain HTTP: to go around it would break a promise."""
        found = {name: value for name, value in getproxies_environment().items() if name in ("http", "https", "no")}
        if around := found.get("no"):  # hosts are compared in their ASCII form
            found["no"] = ",".join(ascii_host(name) or name for name in map(str.strip, around.split(",")))
        for scheme in ("http", "https"):
            if address := found.get(scheme):
                found[scheme] = address = address if "://" in address else f"http://{address}"
                try:
                    parts = urlsplit(address)
                    usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
                except ValueError:
                    usable = False
                if not usable:
                    remedy = "name a proxy as http://host:port, or unset the variable"
                    raise ConfigError("not the address of an HTTP proxy", f"{scheme}_proxy", remedy)
        return cls(found)

    def __bool__(self) -> bool:
        return any(scheme in self._environment for scheme in ("http", "https"))

    def of(self, scheme: str, host: str, *, allow_private: bool) -> str | None:
        """The proxy that leads to a host; None: it is asked itself.

        A host that is private by its text is asked itself where private ones are allowed; else RefusedHostError is
        raised, because behind the proxy no socket of ours could be checked.
        """
        proxy = self._environment.get(scheme)
        if not proxy or goes_around(host, self._environment):
            return None
        if may_be_public(host):
            return proxy
        if allow_private:
            return None
        raise RefusedHostError(host)
