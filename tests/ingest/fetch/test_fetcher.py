"""The fetcher against a hostile server on loopback; with private addresses refused, no request arrives."""

import asyncio
import errno
import gzip
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.fetch import host_limits
from tagmill.ingest.fetch.fetcher import Fetched, Fetcher, FetchState
from tagmill.ingest.fetch.host_limits import DOWN_INTERVAL, CircuitBreaker
from tagmill.ingest.fetch.robots_rules import RobotsAnswer
from tagmill.ingest.http import retries, sockets
from tagmill.ingest.http.accept_header import accept_pictures
from tagmill.ingest.http.single_request import LENIENT_AFTER
from tagmill.ingest.http.urls import normalise
from tagmill.ingest.http.usage_signals import TDMREP_PATH
from tagmill.ingest.reasons import Reason
from tagmill.shards.errors import ConfigError, TagmillError
from tests.ingest.http.test_content_encoding import packed
from tests.ingest.liar import Crowd, Liar, Lie, redirect

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as liar:
        yield liar


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.02)
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def get(*urls: str, workers: int = 1, state: FetchState | None = None, **settings: Any) -> list[Fetched]:
    given: dict[str, Any] = {"allow_private": True, "timeout": 5.0, "max_bytes": 1000, **settings}
    config = IngestConfig(input=("list.csv",), output="corpus", **given)

    async def run() -> list[Fetched]:
        async with Fetcher(config, workers, state) as fetcher:
            return await asyncio.gather(*map(fetcher.fetch, urls))

    return asyncio.run(run())


def test_a_body_comes_whole_with_its_facts(liar: Liar) -> None:
    """The path is requested as written, because URLs may be signed."""
    liar.answers["/%7ea%2f+?b=%2F&c=d+e"] = Lie(b"pixels")
    liar.answers["/%C3%BC%20%22"] = Lie(b"others")
    (fetched,) = get(liar.url("/%7ea%2f+?b=%2F&c=d+e"), user_agent="examplebot/1")
    assert get(liar.url("/ü %22"))[0].body == b"others"
    assert (fetched.body, fetched.reason, fetched.detail) == (b"pixels", None, None)
    assert (fetched.http_status, fetched.host) == (200, "127.0.0.1")
    assert fetched.seconds > 0 and fetched.fetched_at.tzinfo is not None
    assert "User-Agent: examplebot/1" in liar.heads[0] and "Accept-Encoding: identity" in liar.heads[0]
    assert f"Accept: {accept_pictures()}" in liar.heads[0] and "image/*" not in liar.heads[0]


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
        (Lie(headers=(("X-Padding", "x" * 100_000),)), Reason.BAD_HEADERS, None, 2),
        (Lie(headers=tuple((f"X-{i}", "x") for i in range(1000))), Reason.BAD_HEADERS, None, 2),
        (Lie(raw=b"<html>no HTTP at all\n"), Reason.BAD_HEADERS, None, 2),
        (Lie(raw=HEAD + b"Content-Length: -4\r\n\r\nabcd"), Reason.BAD_HEADERS, None, 2),
        (Lie(raw=b""), Reason.CONNECTION, None, None),
        (redirect("file:///etc/passwd"), Reason.REDIRECTS, 302, 1),
        (redirect(""), Reason.REDIRECTS, 302, 1),
        (redirect("http://[oops"), Reason.REDIRECTS, 302, 1),
        (redirect("/lie", 301), Reason.REDIRECTS, 301, 6),
    ],
)
def test_hostile_answers(liar: Liar, lie: Lie, reason: Reason, status: int | None, tries: int | None) -> None:
    liar.answers["/lie"] = lie
    (fetched,) = get(liar.url("/lie"))
    assert (fetched.body, fetched.reason, fetched.http_status) == (None, reason, status)
    assert tries is None or liar.hits["/lie"] == tries
    assert (
        fetched.detail and str(liar.port) not in fetched.detail
    )  # it adds to the reason, and is the same in every run


@pytest.mark.parametrize("first", [Lie(status=500), Lie(status=429), Lie(raw=b""), Lie(b"half", length=8)])
def test_transient_failures_are_retried(liar: Liar, first: Lie) -> None:
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
    """Neither a slow trickle of bytes nor retries extend it."""
    liar.answers["/drip"] = Lie(b"x" * 500, drip=0.05)
    liar.answers["/always"] = Lie(status=503)
    drip, always = get(liar.url("/drip"), liar.url("/always"), timeout=1.2, retries=500)
    assert (drip.reason, drip.detail) == (Reason.TIMEOUT, "no whole answer within 1.2 s")
    assert always.reason in (Reason.HTTP_ERROR, Reason.TIMEOUT)
    assert liar.hits["/drip"] == 1 and 1 < liar.hits["/always"] < 500


def test_a_refused_connection(liar: Liar) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        (fetched,) = get(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert (fetched.reason, fetched.detail) == (Reason.CONNECTION, "refused")


@pytest.mark.parametrize("url", ["", "ftp://a/b", "http://a..b/", "http://" + "a" * 300 + "/"])
def test_bad_urls(url: str) -> None:
    (fetched,) = get(url, timeout=2.0, retries=0)
    assert (fetched.reason, fetched.body, fetched.http_status) == (Reason.BAD_URL, None, None)
    assert fetched.detail


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
    monkeypatch.setattr(sockets, "is_public", lambda address: address == "127.0.0.1")
    (fetched,) = get(liar.url("/out"), allow_private=False)
    assert fetched.reason == Reason.PRIVATE_ADDRESS and "--allow-private" in (fetched.detail or "")
    assert (liar.hits, liar.connections) == ({"/out": 1}, 1)


def test_a_host_with_a_private_and_a_dead_public_address_is_not_reached(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All addresses of a name are checked one by one."""
    judged = []
    monkeypatch.setattr(sockets, "is_public", lambda address: judged.append(address))
    (fetched,) = get(liar.url("/", "localhost"), allow_private=False, retries=0)
    assert fetched.reason == Reason.PRIVATE_ADDRESS
    assert judged and set(judged) <= {"127.0.0.1", "::1"} and liar.connections == 0


@pytest.mark.parametrize(("workers", "at_once"), [(1, 4), (2, 2), (9, 1)])
def test_concurrency_per_host_is_limited_over_all_workers(liar: Liar, workers: int, at_once: int) -> None:
    crowd = Crowd()
    liar.answers |= {f"/{i}": crowd for i in range(24)}
    found = get(*(liar.url(f"/{i}") for i in range(24)), workers=workers, host_concurrency=4)
    assert all(one.body == b"pixels" for one in found)
    assert crowd.most == at_once


def test_a_redirect_waits_for_a_slot_at_its_target_host(liar: Liar) -> None:
    crowd = Crowd()
    liar.answers |= {"/end": crowd, "/direct": crowd, "/start": redirect(liar.url("/end", "127.0.0.1"))}
    found = get(*[liar.url("/start", "localhost"), liar.url("/direct")] * 8, host_concurrency=1)
    assert all(one.body == b"pixels" for one in found)
    assert crowd.most == 1 and liar.hits == {"/start": 8, "/end": 8, "/direct": 8}


def test_waiting_for_a_slot_does_not_count_against_the_deadline(liar: Liar) -> None:
    """Twelve answers of 0.2 s in sequence, each within its own second; the gap between requests does not count either."""
    liar.answers |= {f"/{i}": Crowd(0.2) for i in range(12)}
    urls = [liar.url(f"/{i}") for i in range(12)]
    for found in (
        get(*urls, host_concurrency=1, timeout=1.0, retries=0),
        get(*urls[:3], host_delay=0.5, timeout=0.9, retries=0),
    ):
        assert [one.reason for one in found] == [None] * len(found)
        assert all(0.2 <= one.seconds < 1.0 for one in found)


def dead_url(taken: socket.socket) -> str:
    taken.bind(("127.0.0.1", 0))  # bound, but not listening
    return f"http://127.0.0.1:{taken.getsockname()[1]}/"


def test_a_dead_host_opens_its_circuit_breaker(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand of its URLs make a handful of connections; URLs of other hosts are fetched, and none is lost."""
    liar.answers["/alive"] = Lie(b"pixels")
    asked = []
    made = sockets.SocketFactory.__call__
    monkeypatch.setattr(sockets, "is_public", lambda address: True)
    monkeypatch.setattr(
        sockets.SocketFactory, "__call__", lambda self, info: (asked.append(info[4][1]), made(self, info))[1]
    )
    with socket.socket() as taken:
        url = dead_url(taken)
        port = taken.getsockname()[1]
        urls = [f"{url}{i}" for i in range(10_000)]
        found = get(*urls, liar.url("/alive"), allow_private=False, host_failures=5, host_concurrency=3, retries=0)
    counts = Counter(one.reason for one in found)
    assert found[-1].body == b"pixels"
    tried = asked.count(port)
    assert 5 <= tried < 5 + 3  # those that were in flight when it was found out
    assert counts == {Reason.CONNECTION: tried, Reason.HOST_DOWN: 10_000 - tried, None: 1}


def test_a_silent_host_is_down_too(liar: Liar) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        urls = [f"http://127.0.0.1:{silent.getsockname()[1]}/{i}" for i in range(200)]
        found = get(*urls, timeout=0.3, host_failures=4, host_concurrency=2, retries=1)
    counts = Counter(one.reason for one in found)
    assert counts[Reason.TIMEOUT] in (4, 5) and counts.total() == counts[Reason.TIMEOUT] + counts[Reason.HOST_DOWN]


def test_any_answer_shows_that_a_host_lives(liar: Liar) -> None:
    """Error, empty and cut answers do not open the breaker, and one answer between failures closes it."""
    liar.answers |= {"/500": Lie(status=500), "/cut": Lie(b"x", length=9), "/empty": Lie(), "/gone": Lie(raw=b"")}
    found = get(*[liar.url("/500"), liar.url("/cut"), liar.url("/empty")] * 5, host_failures=2, retries=0)
    assert not any(one.reason == Reason.HOST_DOWN for one in found)
    found = get(*[liar.url("/gone"), liar.url("/404")] * 9, host_failures=2, retries=0, host_concurrency=1)
    assert Counter(one.reason for one in found) == {Reason.CONNECTION: 9, Reason.NOT_FOUND: 9}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_state_outlives_a_fetcher_and_a_recovered_host_is_requested_again(liar: Liar) -> None:
    clock = Clock()
    state = FetchState(IngestConfig(input=("list.csv",), output="corpus"))
    state.breaker = CircuitBreaker(3, clock)
    liar.answers["/"] = Lie(raw=b"")
    told: dict[str, Any] = {"state": state, "retries": 0}
    assert [get(liar.url("/"), **told)[0].reason for _ in range(3)] == [Reason.CONNECTION] * 3
    liar.answers["/"], before = Lie(b"pixels"), liar.hits["/"]
    assert [get(liar.url("/"), **told)[0].reason for _ in range(3)] == [Reason.HOST_DOWN] * 3
    assert liar.hits["/"] == before
    clock.now += DOWN_INTERVAL
    assert [one.body for one in [*get(liar.url("/"), **told), *get(liar.url("/"), **told)]] == [b"pixels"] * 2


def test_a_short_failure_of_a_host_that_has_answered_costs_few_of_its_urls(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All URLs may be on one host: they wait until it recovers, which does not count against their deadlines."""
    monkeypatch.setattr(host_limits, "OPEN_INTERVALS", (2.5, 2.5, 2.5))
    monkeypatch.setattr("tagmill.ingest.fetch.fetcher._BREAKER_POLL", 0.05)
    liar.answers["/"] = Lie(b"pixels")
    state = FetchState(IngestConfig(input=("list.csv",), output="corpus", host_failures=4))
    told: dict[str, Any] = {"state": state, "retries": 0, "host_concurrency": 2}
    get(liar.url("/"), **told)
    noticed: list[int] = []  # the host recovers after its first opening

    def down(before: int) -> Lie:
        noticed.extend(one.openings for one in list(state.breaker._hosts.values()) if one.openings)
        return Lie(b"pixels") if noticed else Lie(raw=b"")

    liar.answers["/"] = down
    found = get(*[liar.url("/")] * 60, timeout=2.0, **told)
    counts = Counter(one.reason for one in found)
    assert counts.total() == 60 and set(counts) == {None, Reason.CONNECTION}
    assert 4 <= counts[Reason.CONNECTION] <= 4 + 1 + 3  # those in flight, and probes


def test_a_requested_backoff_applies_to_all_urls_of_a_host(liar: Liar) -> None:
    times: list[float] = []

    def busy(before: int) -> Lie:
        times.append(time.monotonic())
        return Lie(b"pixels") if before else Lie(status=429, headers=(("Retry-After", "3"),))

    liar.answers["/"] = busy
    found = get(*[liar.url("/")] * 6, host_concurrency=1, retries=0, timeout=2.5)
    assert [one.reason for one in found] == [Reason.HTTP_ERROR, *[None] * 5]
    assert times[1] - times[0] >= 3.0


def test_retry_after_is_heeded_within_the_deadline(liar: Liar) -> None:
    times: list[float] = []

    def busy(before: int) -> Lie:
        times.append(time.monotonic())
        return Lie(b"pixels") if before else Lie(status=429, headers=(("Retry-After", "1"),))

    liar.answers["/busy"] = busy
    liar.answers["/later"] = Lie(status=503, headers=(("Retry-After", "3600"),))
    liar.answers["/date"] = Lie(status=503, headers=(("Retry-After", "Wed, 01 Jan 2200 00:00:00 GMT"),))
    liar.answers["/past"] = lambda before: (
        Lie(b"pixels") if before else Lie(status=503, headers=(("Retry-After", "Sat, 01 Jan 2000 00:00:00 GMT"),))
    )
    busy_one, later, date, past = (get(liar.url(f"/{path}"))[0] for path in ("busy", "later", "date", "past"))
    assert busy_one.body == past.body == b"pixels"
    assert times[1] - times[0] >= 1.0 and busy_one.seconds >= 1.0
    assert [later.reason, date.reason] == [Reason.HTTP_ERROR] * 2
    assert liar.hits["/later"] == liar.hits["/date"] == 1  # it would be too late


def test_retries_are_a_share_of_the_run(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FREE_RETRIES", 5)
    liar.answers["/500"] = Lie(status=500)
    found = get(*[liar.url("/500")] * 100, retries=3, retry_share=0.1, timeout=20.0)
    assert {one.reason for one in found} == {Reason.HTTP_ERROR}
    assert liar.hits["/500"] == 100 + 5 + 10


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ([("X-Robots-Tag", "noai")], "X-Robots-Tag: noai"),
        ([("x-robots-tag", "nofollow"), ("X-ROBOTS-TAG", "tagmill: NoImageIndex")], "X-Robots-Tag: noimageindex"),
        ([("X-Robots-Tag", "otherbot: noindex")], None),
        ([("X-Robots-Tag", "nofollow")], None),
    ],
)
def test_opt_outs_are_honoured_by_default(liar: Liar, headers: list[tuple[str, str]], detail: str | None) -> None:
    liar.answers["/"] = Lie(b"pixels", headers=tuple(headers))
    (heard,) = get(liar.url("/"))
    assert (heard.reason, heard.detail) == (Reason.OPTED_OUT if detail else None, detail)
    assert (heard.body, heard.http_status) == (None if detail else b"pixels", 200)
    assert get(liar.url("/"), honour_opt_outs=False)[0].body == b"pixels"
    assert liar.hits["/"] == 2  # it is an answer, and not asked for again


SIGNALS = {
    "honour_content_signal": (("Content-Signal", "ai-train=no"), Reason.CONTENT_SIGNAL),
    "honour_content_usage": (("Content-Usage", "train-ai=n"), Reason.CONTENT_USAGE),
    "honour_tdm": (("tdm-reservation", "1"), Reason.TDM_RESERVED),
}


@pytest.mark.parametrize("flag", SIGNALS)
def test_signals_against_training_are_honoured_each_by_its_own_flag(liar: Liar, flag: str) -> None:
    header, reason = SIGNALS[flag]
    liar.answers["/"] = Lie(b"pixels", headers=(header,))
    others = dict.fromkeys(SIGNALS.keys() - {flag}, False)
    (heard,) = get(liar.url("/"), honour_opt_outs=False, **others)
    assert (heard.reason, heard.detail, heard.body) == (reason, ": ".join(header), None)
    assert get(liar.url("/"), **{flag: False})[0].body == b"pixels"
    every = Lie(b"pixels", headers=tuple(header for header, _ in SIGNALS.values()))
    liar.answers["/every"] = every
    assert get(liar.url("/every"), **dict.fromkeys(SIGNALS, False))[0].body == b"pixels"
    assert get(liar.url("/every"))[0].body is None


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (Lie(b'[{"location": "/", "tdm-reservation": 1}' + b", 1" * 3_000_000 + b"]"), 1),
        (redirect("/.well-known/tdmrep.json"), 6),
        (redirect("http://169.254.169.254/"), 1),
        (Lie(status=503), 1),
        (Lie(raw=b"no HTTP"), 1),
    ],
)
def test_a_tdmrep_json_that_cannot_be_had_reserves_nothing(liar: Liar, answer: Lie, asked: int) -> None:
    liar.answers |= {"/robots.txt": Lie(b"User-agent: *\nDisallow: /a"), TDMREP_PATH: answer}
    given_config = IngestConfig(input=("list.csv",), output="corpus", allow_private=True, timeout=5.0, retries=0)

    async def rules() -> tuple[Fetched, RobotsAnswer]:
        async with Fetcher(given_config) as fetcher:
            return await fetcher.rules_of(liar.url(""))

    found, heard = asyncio.run(rules())
    assert found.body == b"User-agent: *\nDisallow: /a" and heard == RobotsAnswer("Disallow: /a")
    assert asked <= liar.hits[TDMREP_PATH] <= asked + 1  # the lenient parser asks once more


def test_the_contact_is_sent_with_the_user_agent(liar: Liar) -> None:
    liar.answers["/"] = Lie(b"pixels", headers=(("X-Robots-Tag", "mybot: noai"),))
    assert get(liar.url("/"), user_agent="mybot/1", contact="you@example.org")[0].reason == Reason.OPTED_OUT
    assert "user-agent: mybot/1 (+you@example.org)\r\n" in liar.heads[-1].lower()


def test_a_custom_user_agent_may_be_named_by_opt_outs(liar: Liar) -> None:
    liar.answers["/"] = Lie(b"pixels", headers=(("X-Robots-Tag", "examplebot: noai"),))
    assert get(liar.url("/"), user_agent="Examplebot/2 (me@example.org)")[0].reason == Reason.OPTED_OUT
    assert get(liar.url("/"))[0].body == b"pixels"


def test_a_proxy_is_exempt_and_what_is_behind_it_is_judged_by_its_text(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server plays the proxy on loopback: it gets whole URLs, and never private ones."""
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{liar.port}")
    liar.answers["http://pictures.example.org/1"] = Lie(b"pixels")
    liar.answers["http://pictures.example.org/in"] = redirect("http://169.254.169.254/secret")
    liar.answers["http://pictures.example.org/on"] = redirect("/1")
    private = ["http://127.0.0.1/", liar.url("/"), "http://[::1]/", "http://vault.internal/", "http://2130706433/"]
    found = get(
        *(f"http://pictures.example.org/{path}" for path in ("1", "in", "on", "404")), *private, allow_private=False
    )
    assert [one.body for one in found[:4]] == [b"pixels", None, b"pixels", None]
    assert [one.reason for one in found[1:]] == [
        *[Reason.PRIVATE_ADDRESS, None, Reason.NOT_FOUND],
        *[Reason.PRIVATE_ADDRESS] * len(private),
    ]
    assert all(path.startswith("http://pictures.example.org/") for path in liar.hits)
    assert all("Proxy-Authorization: Basic bWU6c2VjcmV0" in head for head in liar.heads)


def test_around_a_proxy_sockets_are_checked(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{liar.port}")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    (fetched,) = get(liar.url("/", "localhost"), allow_private=False)
    assert (fetched.reason, liar.connections) == (Reason.PRIVATE_ADDRESS, 0)


def test_allowed_private_hosts_bypass_the_proxy(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    liar.answers["/"] = Lie(b"pixels")
    assert get(liar.url("/"))[0].body == b"pixels"


def test_proxy_failures_are_not_blamed_on_the_host(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a missing proxy nor one that refuses the tunnel; a proxy that cannot reach the host counts against it."""
    with socket.socket() as taken:
        monkeypatch.setenv("http_proxy", dead_url(taken))
        urls = [f"http://example.org/{i}" for i in range(6)]
        found = get(*urls, allow_private=False, host_failures=2, retries=0, host_concurrency=1)
    assert {(one.reason, one.detail) for one in found} == {(Reason.CONNECTION, "the proxy: refused")}
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{liar.port}")
    told = {"allow_private": False, "host_failures": 2, "retries": 0, "host_concurrency": 1}
    liar.answers |= {"no.example.org:443": Lie(status=403), "down.example.org:443": Lie(status=502)}
    refused = get(*[f"https://no.example.org/{i}" for i in range(5)], **told)
    assert {(one.reason, one.detail) for one in refused} == {(Reason.CONNECTION, "the proxy answered HTTP 403")}
    down = get(*[f"https://down.example.org/{i}" for i in range(5)], **told)
    assert [one.reason for one in down] == [*[Reason.CONNECTION] * 2, *[Reason.HOST_DOWN] * 3]


def test_odd_answers_come_through_a_proxy_too(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:word@127.0.0.1:{liar.port}")
    liar.answers["http://a.example.org/1"] = Lie(raw=HEAD + TWICE)
    liar.answers["b.example.org:443"] = Lie(raw=b"nonsense\r\n\r\n")
    odd, broken = get("http://a.example.org/1", "https://b.example.org/", allow_private=False, retries=0)
    assert odd.body == b"pixels" and liar.hits["http://a.example.org/1"] == 2
    assert all("Proxy-Authorization: Basic bWU6d29yZA==" in head for head in liar.heads)
    assert (broken.reason, broken.detail) == (Reason.CONNECTION, "the proxy's answer is malformed")


def test_details_name_the_host_that_a_redirect_led_to(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_all_to_loopback(monkeypatch)
    liar.answers |= {"/1": redirect(liar.url("/gone", "b.example")), "/2": redirect("/gone"), "/3": Lie(status=302)}
    liar.answers["/4"] = redirect("gopher://c.example/\u00fc" + "x" * 200)
    details = [one.detail or "" for one in get(*(liar.url(f"/{number}", "a.example") for number in range(1, 5)))]
    assert details[:3] == ["HTTP 404, at b.example", "HTTP 404", "without a Location"]
    assert details[3].startswith("leads to no http(s) URL: 'gopher://c.example/") and details[3].isascii()
    assert len(details[3]) < 200


def test_an_unusable_proxy_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://proxy:1")
    with pytest.raises(ConfigError, match="https_proxy"):
        get("http://example.org/")


def resolve_all_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolves every name to loopback."""
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest, **more))


def test_hosts_with_international_names_are_asked_in_lists_and_redirects(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted under one name, the ASCII form, whatever the spelling."""
    resolve_all_to_loopback(monkeypatch)
    name = "xn--mnchen-3ya.example"
    told = FetchState(IngestConfig(input=("list.csv",), output="corpus"))
    liar.answers["/end"] = Lie(b"pixels")
    liar.answers["/on"] = redirect(liar.url("/end", "münchen.example").encode().decode("latin-1"))  # raw UTF-8
    urls = [normalise(liar.url(path, host)) for path in ("/end", "/on") for host in ("MÜNCHEN.example", name)]
    found = get(*urls, state=told)
    assert [(one.body, one.host) for one in found] == [(b"pixels", name)] * 4
    assert all(f"Host: {name}:{liar.port}" in head for head in liar.heads)
    assert [each.host for each in told.latency.traffic().slowest] == [name]
    assert list(told.breaker._hosts) == [f"{name}:{liar.port}"]


TWICE = b"Content-Length: 6\r\nContent-Length: 6\r\n\r\npixels"
IN_CHUNKS = b"6\r\npixels\r\n0\r\n"
ODD = {
    "a header line of 9 kB": (HEAD + b"X: " + b"a" * 9000 + b"\r\nContent-Length: 6\r\n\r\npixels", 1),
    "a header line of 60 kB": (HEAD + b"X: " + b"a" * 60_000 + b"\r\nContent-Length: 6\r\n\r\npixels", 1),
    "150 header lines": (HEAD + b"X: y\r\n" * 150 + b"Content-Length: 6\r\n\r\npixels", 2),
    "the same length twice": (HEAD + TWICE, 2),
    "length and chunked": (HEAD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS + b"\r\n", 2),
    "a space before the colon": (HEAD + b"X-Odd : v\r\nContent-Length: 6\r\n\r\npixels", 2),
    "a line without a colon": (HEAD + b"just a line\r\nContent-Length: 6\r\n\r\npixels", 2),
    "Transfer-Encoding: identity": (HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 6\r\n\r\npixels", 2),
    "chunks without a last line end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS, 2),
}


@pytest.mark.parametrize("name", ODD)
def test_answers_that_browsers_read_are_read(liar: Liar, name: str) -> None:
    """At most two requests per URL; a host that needs the lenient parser gets it at once later; connections are not reused."""
    raw, requests = ODD[name]
    paths = [f"/{number}" for number in range(LENIENT_AFTER + 2)]
    liar.answers |= {path: Lie(raw=raw) for path in paths} | {"/plain": Lie(b"others")}
    told = FetchState(IngestConfig(input=("list.csv",), output="corpus"))
    found = [get(liar.url(path), state=told)[0] for path in paths]
    assert {(one.body, one.reason, one.http_status) for one in found} == {(b"pixels", None, 200)}
    assert [liar.hits[path] for path in paths] == [requests] * LENIENT_AFTER + [1, 1]
    assert get(liar.url("/plain"), state=told)[0].body == b"others"
    assert liar.connections == liar.hits.total()


def test_a_host_with_occasional_odd_answers_keeps_its_connections(liar: Liar) -> None:
    """Connections are reused."""
    liar.answers |= {"/odd": Lie(raw=HEAD + TWICE), "/plain": Lie(b"others")}
    told = FetchState(IngestConfig(input=("list.csv",), output="corpus"))
    for _ in range(LENIENT_AFTER + 1):
        assert get(liar.url("/odd"), liar.url("/plain"), state=told, host_concurrency=1)[1].body == b"others"
    assert told.lenient_hosts.get(liar.url(""), None) is None
    assert liar.hits == {"/odd": 2 * (LENIENT_AFTER + 1), "/plain": LENIENT_AFTER + 1}


def test_redirects_and_robots_txt_are_read_in_the_same_way(liar: Liar) -> None:
    liar.answers |= {
        "/long": redirect("/on?" + "q" * 9000),
        "/on?" + "q" * 9000: Lie(raw=b"HTTP/1.1 302 On\r\nLocation : /end\r\n\r\n"),
        "/end": Lie(raw=HEAD + TWICE),
        "/robots.txt": Lie(raw=HEAD + b"X : y\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"User-agent: *")),
    }
    assert get(liar.url("/long"))[0].body == b"pixels"

    async def robots() -> Fetched:
        async with Fetcher(IngestConfig(input=("list.csv",), output="corpus", allow_private=True)) as fetcher:
            return await fetcher.robots_txt(liar.url(""))

    assert asyncio.run(robots()).body == b"User-agent: *"


def test_a_second_reading_stays_within_the_hosts_limits_and_the_urls_deadline(liar: Liar) -> None:
    times: list[float] = []

    def odd(before: int) -> Lie:
        times.append(time.monotonic())
        return Lie(raw=HEAD + TWICE)

    liar.answers["/odd"] = odd
    begun = time.monotonic()  # not `times[0]`: the first request may arrive late
    assert get(liar.url("/odd"), host_delay=0.4)[0].body == b"pixels"
    assert len(times) == 2 and times[1] - begun >= 0.4
    busy = threading.Lock()

    def crowd(before: int) -> Lie:
        assert busy.acquire(blocking=False)
        time.sleep(0.02)
        busy.release()
        return Lie(raw=HEAD + TWICE)

    liar.answers |= {f"/{number}": crowd for number in range(8)}
    assert {one.body for one in get(*(liar.url(f"/{n}") for n in range(8)), host_concurrency=1)} == {b"pixels"}

    def slow(before: int) -> Lie:
        if before:
            time.sleep(3.0)
        return Lie(raw=HEAD + TWICE)

    liar.answers["/slow"] = slow
    (late,) = get(liar.url("/slow"), timeout=0.8)
    assert (late.reason, late.detail) == (Reason.TIMEOUT, "no whole answer within 0.8 s")


def test_a_second_reading_goes_to_the_same_address_and_is_checked_once_more(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is not resolved again, and an address that is no longer public is refused."""
    liar.answers["/odd"] = Lie(raw=HEAD + TWICE)
    names: list[str] = []
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: (names.append(host), real("127.0.0.1", *rest, **more))[1]
    )
    assert get(liar.url("/odd", "a.example"))[0].body == b"pixels"
    assert names.count("a.example") == 1 and set(liar.hits.values()) == {2}
    judged: list[str] = []
    monkeypatch.setattr(sockets, "is_public", lambda address: (judged.append(address), len(judged) < 2)[1])
    (fetched,) = get(liar.url("/odd", "b.example"), allow_private=False)
    assert (fetched.reason, judged) == (Reason.PRIVATE_ADDRESS, ["127.0.0.1"] * 2)
    assert liar.hits == {"/odd": 3}


def test_unreadable_answers_are_requested_once_by_each_parser(liar: Liar) -> None:
    liar.answers |= {
        "/cut": Lie(raw=HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\npixels\r\n"),
        "/odd": Lie(raw=b"what\n"),
    }
    cut, odd = get(liar.url("/cut"), retries=2)[0], get(liar.url("/odd"), retries=2)[0]
    assert (cut.reason, odd.reason, odd.detail) == (Reason.TRUNCATED, Reason.BAD_HEADERS, "no HTTP status line")
    assert liar.hits == {"/cut": 3 + 1, "/odd": 2}


@pytest.mark.parametrize("framing", [b"", b"X : y\r\n"])  # read by the client, and by the lenient reader
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_compressed_images_are_decompressed(liar: Liar, coding: str, framing: bytes) -> None:
    def lie(body: bytes) -> Lie:
        head = HEAD + framing + b"Content-Encoding: " + coding.encode()
        return Lie(raw=head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    body = packed(b"pixels" * 150, coding)
    liar.answers |= {"/": lie(body), "/bomb": lie(packed(bytes(100_000), coding)), "/cut": lie(body[:-5])}
    liar.answers["/not"] = lie(b"\xff\xd8\xff a picture")
    whole, bomb, cut, plain = (get(liar.url(path))[0] for path in ("/", "/bomb", "/cut", "/not"))
    assert (whole.body, whole.encoding) == (b"pixels" * 150, None)
    assert (bomb.reason, bomb.detail) == (Reason.TOO_BIG, "more than 1000 bytes, unpacked")
    assert (cut.reason, cut.detail) == (Reason.TRUNCATED, f"Content-Encoding: {coding}, which ends too early")
    assert (plain.body, plain.encoding) == (b"\xff\xd8\xff a picture", f"Content-Encoding: {coding}")


def test_many_hosts_do_not_exhaust_the_open_files(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections to hosts that are never requested again must not pile up."""
    resolve_all_to_loopback(monkeypatch)
    monkeypatch.setattr("tagmill.ingest.http.client.raise_open_file_limit", lambda: 80)
    liar.answers["/x"] = Lie(b"pixels" * 20_000)
    counts: list[int] = []
    made = sockets.SocketFactory.__call__

    def counted(self: sockets.SocketFactory, info: tuple[Any, Any, int, str, Any]) -> socket.socket:
        counts.append(sum(one.fileno() >= 0 for one in self._open))
        return made(self, info)

    monkeypatch.setattr(sockets.SocketFactory, "__call__", counted)

    async def run() -> list[Fetched]:
        config = IngestConfig(input=("list.csv",), output="corpus", allow_private=True, timeout=20.0)
        urls = iter([liar.url("/x", host=f"h{number}.test") for number in range(300)])
        async with Fetcher(config) as fetcher:

            async def work() -> list[Fetched]:
                return [await fetcher.fetch(url) for url in urls]

            return list(chain.from_iterable(await asyncio.gather(*(work() for _ in range(8)))))

    assert {one.body for one in asyncio.run(run())} == {b"pixels" * 20_000}
    # Those in flight, and those whose end the loop has still to see.
    assert len(counts) == 300 and max(counts) <= 20 + 2 * 8
    assert any("Connection: close" in head for head in liar.heads)
    assert not any("Connection: close" in head for head in liar.heads[:15])  # while there is room they wait


def test_running_out_of_files_is_an_error_and_no_reject(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, info: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(sockets.SocketFactory, "__call__", full)
    with pytest.raises(TagmillError, match="ulimit"):
        get(liar.url("/x"))
