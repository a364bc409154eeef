"""Proxies from the environment (`http_proxy`, `https_proxy`, `no_proxy`), and which hosts may be requested through them."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from tagmill.ingest.http.idn import ascii_host
from tagmill.ingest.http.public_addresses import may_be_public
from tagmill.shards.errors import ConfigError

PROXY_WARNING = (
    "requests go through a proxy from the environment, which resolves host names: only the proxy can refuse private "
    "addresses"
)


class RefusedHostError(Exception):
    """A request for a host that is not on the public internet would have gone through a proxy."""


@dataclass(frozen=True)
class Proxies:
    """Chooses the proxy of a URL. Proxy addresses may contain passwords: they are never shown or logged."""

    _environment: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(cls) -> Self:
        """Reads the environment.

        Raises ConfigError for a proxy without plain HTTP: bypassing it silently would be wrong.
        """
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
        """Returns the proxy for a host, or None for a direct connection.

        A host that is private by its text gets a direct connection where private hosts are allowed. Else
        RefusedHostError is raised, because no socket of ours could check the address behind the proxy.
        """
        proxy = self._environment.get(scheme)
        if not proxy or proxy_bypass_environment(host, self._environment):
            return None
        if may_be_public(host):
            return proxy
        if allow_private:
            return None
        raise RefusedHostError(host)
