"""Which proxy the environment names for a host, and what is never requested through one."""

import pytest

from tagmill.ingest.http.proxy import Proxies, RefusedHostError
from tagmill.shards.errors import ConfigError

NAMES = ["http_proxy", "https_proxy", "no_proxy", "all_proxy"]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_a_proxy_all_hosts_are_requested_directly() -> None:
    proxies = Proxies.from_environment()
    assert not proxies
    assert proxies.of("http", "example.org", allow_private=False) is None
    assert proxies.of("http", "127.0.0.1", allow_private=False) is None  # the socket is checked


def test_proxies_depend_on_scheme_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@10.0.0.1:3128")
    monkeypatch.setenv("HTTPS_PROXY", "proxy.corp:8080")
    monkeypatch.setenv("no_proxy", "example.net, .direct.org, münchen.example")
    proxies = Proxies.from_environment()
    assert proxies and "secret" not in repr(proxies)
    assert proxies.of("http", "example.org", allow_private=False) == "http://me:secret@10.0.0.1:3128"
    assert proxies.of("https", "example.org", allow_private=False) == "http://proxy.corp:8080"
    for host in ("example.net", "www.example.net", "a.direct.org", "www.xn--mnchen-3ya.example"):
        assert proxies.of("http", host, allow_private=False) is None


def test_only_one_scheme_has_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    assert Proxies.from_environment()
    assert Proxies.from_environment().of("http", "example.org", allow_private=False) is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "vault.internal", "nas", "2130706433", "::1", "169.254.169.254"]
)
def test_private_hosts_never_go_through_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:1")
    proxies = Proxies.from_environment()
    with pytest.raises(RefusedHostError):
        proxies.of("http", host, allow_private=False)
    assert proxies.of("http", host, allow_private=True) is None


@pytest.mark.parametrize(
    "address",
    [
        *[
            "socks5://me:secret@proxy:1",
            "https://me:secret@proxy:1",
            "http://me:secret@",
            "http://me:secret@proxy:port",
        ],
        *["http://me:secret@proxy:0", "http://secret[::1"],
    ],
)
def test_an_unusable_proxy_is_refused_and_never_bypassed(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("https_proxy", address)
    with pytest.raises(ConfigError, match="https_proxy") as caught:
        Proxies.from_environment()
    assert "secret" not in str(caught.value)


def test_an_empty_variable_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "")
    assert not Proxies.from_environment()
