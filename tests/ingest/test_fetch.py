"""The fetcher against a server that lies; nothing leaves loopback, and with private addresses refused nothing arrives."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest import fetch
from tagmill.ingest.config import IngestConfig
from tagmill.ingest.fetch import Fetched, Fetcher, is_public
from tagmill.ingest.reasons import Reason
from tests.ingest.liar import Liar, Lie, redirect

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as liar:
        yield liar


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_FIRST_WAIT", 0.02)


def get(*urls: str, **settings: Any) -> list[Fetched]:
    given: dict[str, Any] = {"allow_private": True, "timeout": 5.0, "max_bytes": 1000, **settings}
    config = IngestConfig(input=("list.csv",), output="corpus", **given)

    async def run() -> list[Fetched]:
        async with Fetcher(config) as fetcher:
            return await asyncio.gather(*map(fetcher.fetch, urls))

    return asyncio.run(run())


def test_a_body_comes_whole_with_its_facts(liar: Liar) -> None:
    """The path is asked for as it was written, or signed URLs would break."""
    liar.answers["/%7ea%2f+?b=%2F&c=d+e"] = Lie(b"pixels")
    liar.answers["/%C3%BC%20%22"] = Lie(b"others")
    (fetched,) = get(liar.url("/%7ea%2f+?b=%2F&c=d+e"), user_agent="somebody/1")
    assert get(liar.url("/ü %22"))[0].body == b"others"
    assert (fetched.body, fetched.reason, fetched.detail) == (b"pixels", None, None)
    assert (fetched.http_status, fetched.host) == (200, "127.0.0.1")
    assert fetched.seconds > 0 and fetched.fetched_at.tzinfo is not None
    assert "User-Agent: somebody/1" in liar.heads[0] and "Accept-Encoding: identity" in liar.heads[0]


@pytest.mark.parametrize(
    ("lie", "reason", "status", "tries"),
    [
        (Lie(status=404), Reason.NOT_FOUND, 404, 1),
        (Lie(status=410), Reason.NOT_FOUND, 410, 1),
        (Lie(status=403), Reason.HTTP_ERROR, 403, 1),
        (Lie(status=304), Reason.HTTP_ERROR, 304, 1),
        (Lie(status=500), Reason.HTTP_ERROR, 500, 3),
        (Lie(status=429), Reason.HTTP_ERROR, 429, 3),
        (Lie(status=501), Reason.HTTP_ERROR, 501, 1),
        (Lie(), Reason.EMPTY, 200, 1),
        (Lie(status=204), Reason.EMPTY, 204, 1),
        (Lie(b"x" * 1001), Reason.TOO_BIG, 200, 1),
        (Lie(b"x", length=10**12), Reason.TOO_BIG, 200, 1),
        (Lie(raw=HEAD + b"\r\n" + b"x" * 5000), Reason.TOO_BIG, 200, 1),  # without a length
        (Lie(b"x" * 10, length=20), Reason.TRUNCATED, 200, 3),
        (Lie(headers=(("X-Padding", "x" * 100_000),)), Reason.BAD_HEADERS, None, 1),
        (Lie(headers=tuple((f"X-{i}", "x") for i in range(1000))), Reason.BAD_HEADERS, None, 1),
        (Lie(raw=b"<html>no HTTP at all"), Reason.BAD_HEADERS, None, 1),
        (Lie(raw=HEAD + b"Content-Length: -4\r\n\r\nabcd"), Reason.BAD_HEADERS, None, 1),
        (Lie(raw=b""), Reason.CONNECTION, None, None),
        (redirect("file:///etc/passwd"), Reason.REDIRECTS, 302, 1),
        (redirect(""), Reason.REDIRECTS, 302, 1),
        (redirect("http://[oops"), Reason.REDIRECTS, 302, 1),
        (redirect("/lie", 301), Reason.REDIRECTS, 301, 6),
    ],
)
def test_lies(liar: Liar, lie: Lie, reason: Reason, status: int | None, tries: int | None) -> None:
    liar.answers["/lie"] = lie
    (fetched,) = get(liar.url("/lie"))
    assert (fetched.body, fetched.reason, fetched.http_status) == (None, reason, status)
    assert tries is None or liar.hits["/lie"] == tries
    assert str(liar.port) not in (fetched.detail or "")  # details are the same in every run


@pytest.mark.parametrize("first", [Lie(status=500), Lie(status=429), Lie(raw=b""), Lie(b"half", length=8)])
def test_what_fails_once_is_tried_again(liar: Liar, first: Lie) -> None:
    liar.answers["/once"] = lambda before: Lie(b"pixels") if before > 1 else first
    (fetched,) = get(liar.url("/once"), retries=2)
    assert (fetched.body, fetched.reason) == (b"pixels", None)
    (fetched,) = get(liar.url("/never"), retries=0)
    assert fetched.reason == Reason.NOT_FOUND


def test_redirects_are_followed_up_to_the_limit(liar: Liar) -> None:
    for i in range(5):
        liar.answers[f"/{i}"] = redirect(f"{i + 1}", (301, 302, 303, 307, 308)[i])  # relative
    liar.answers["/5"] = Lie(b"pixels")
    within, beyond = get(liar.url("/0"), max_redirects=5), get(liar.url("/0"), max_redirects=4)
    assert within[0].body == b"pixels"
    assert beyond[0].reason == Reason.REDIRECTS


def test_the_deadline_is_total(liar: Liar) -> None:
    """A byte now and then keeps no connection alive beyond it, and neither do retries."""
    liar.answers["/drip"] = Lie(b"x" * 500, drip=0.05)
    liar.answers["/always"] = Lie(status=503)
    drip, always = get(liar.url("/drip"), liar.url("/always"), timeout=1.2, retries=500)
    assert (drip.reason, drip.detail) == (Reason.TIMEOUT, "no whole answer within 1.2 s")
    assert always.reason in (Reason.HTTP_ERROR, Reason.TIMEOUT)
    assert liar.hits["/drip"] == 1 and 1 < liar.hits["/always"] < 500


def test_nobody_there(liar: Liar) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        (fetched,) = get(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert (fetched.reason, fetched.detail) == (Reason.CONNECTION, "ClientConnectorError")


@pytest.mark.parametrize(
    "url",
    [
        *[
            "",
            "x",
            "ftp://a/b",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://[::1",
            "http://a:99999/",
            "//a/b",
        ],
        *["http://a b/", "http://a:b/", "data:image/png;base64,xx", "http://\ud800/", "http://" + "a" * 300 + "/"],
    ],
)
def test_what_is_no_url(url: str) -> None:
    (fetched,) = get(url, timeout=2.0, retries=0)
    assert fetched.reason == Reason.BAD_URL and fetched.body is None
    assert fetched.http_status is None


@given(st.text(max_size=30), st.sampled_from(["", "http:", "http://", "https://[", "http://a:"]))
def test_any_text_is_a_url_or_not(text: str, prefix: str) -> None:
    parsed = fetch._parsed(prefix + text)
    assert parsed is None or (parsed.scheme in ("http", "https") and parsed.host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0", "[::]", "0.0.0.0"]
)
def test_loopback_in_any_spelling_is_refused_before_a_socket_is_made(liar: Liar, host: str) -> None:
    liar.answers["/"] = Lie(b"secret")
    (fetched,) = get(liar.url("/", host), allow_private=False, retries=1)
    assert fetched.body is None
    assert fetched.reason in (Reason.PRIVATE_ADDRESS, Reason.CONNECTION, Reason.BAD_URL)
    assert liar.connections == 0
    if host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
        assert fetched.reason == Reason.PRIVATE_ADDRESS


def test_a_redirect_into_a_private_net_is_refused(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 plays the public internet here, 127.0.0.2 the private one."""
    liar.answers["/out"] = redirect(liar.url("/in", "127.0.0.2"))
    liar.answers["/in"] = Lie(b"secret")
    monkeypatch.setattr(fetch, "is_public", lambda address: address == "127.0.0.1")
    (fetched,) = get(liar.url("/out"), allow_private=False)
    assert fetched.reason == Reason.PRIVATE_ADDRESS
    assert (liar.hits, liar.connections) == ({"/out": 1}, 1)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2a00::1%eth0"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *[
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ],
        *["255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%lo", "fc00::1"],
        *["ff02::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"],
        *["64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:808:808::1", "2001:0:808:808::1", "2001:db8::1", "fec0::1"],
        *["", "host", "1.2.3"],
    ],
)
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_an_embedded_address_is_judged_as_itself(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    public = is_public(str(plain))
    for prefix in ("::ffff:", "64:ff9b::"):
        assert is_public(f"{prefix}{plain}") == public
    if not plain.is_global:
        assert not public


def test_a_host_with_a_private_and_a_dead_public_address_is_not_reached(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All addresses of a name are judged one by one."""
    judged = []
    monkeypatch.setattr(fetch, "is_public", lambda address: judged.append(address))
    (fetched,) = get(liar.url("/", "localhost"), allow_private=False, retries=0)
    assert fetched.reason == Reason.PRIVATE_ADDRESS
    assert judged and set(judged) <= {"127.0.0.1", "::1"} and liar.connections == 0
