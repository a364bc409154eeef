"""The one request for headers that obstore does not show, and how seldom it is made."""

from pathlib import Path

import pytest

from tagmill.shards.storage.remote.probe import SILENT_SECONDS, HeadAnswer, WaitsAsked, ask_head
from tests.shards.silent import silent


def test_headers_of_any_answer(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with silent(tmp_path) as web:
        found = ask_head(f"{web.url}/a")
        assert found is not None and found.status == 200 and found.headers["etag"] == '"one"'
        for status in (301, 403, 404, 429, 503):
            web.refuse = lambda _, status=status: (status, b"")  # type: ignore[misc]
            web.headers = {"Retry-After": "3", "Location": f"{web.url}/elsewhere"}
            found = ask_head(f"{web.url}/a")
            assert found is not None and (found.status, found.headers["retry-after"]) == (status, "3")
        assert web.asked == 6, "redirects are not followed"
    assert ask_head("http://127.0.0.1:9/") is None and ask_head("nonsense") is None


class Service:
    """Answers, and counts who asks; `now` is the time of the test."""

    def __init__(self) -> None:
        self.now, self.asked, self.answer = 1000.0, 0, HeadAnswer(503, {})

    def ask(self, url: str) -> HeadAnswer:
        self.asked += 1
        return self.answer

    def waits(self) -> WaitsAsked:
        return WaitsAsked(self.ask, lambda: self.now)


def test_a_wait_is_asked_for_once_and_known_until_it_ends() -> None:
    service = Service()
    service.answer = HeadAnswer(429, {"retry-after": "20"})
    waits = service.waits()
    assert waits.seconds("place", lambda: "url") == 20
    service.now += 15
    assert waits.seconds("place", lambda: "url") == 5 and service.asked == 1
    assert waits.seconds("other", lambda: "url") == 20 and service.asked == 2
    service.now += 6
    assert waits.seconds("place", lambda: "url") == 20 and service.asked == 3


@pytest.mark.parametrize(
    "answer", [HeadAnswer(503, {}), HeadAnswer(200, {"retry-after": "9"}), HeadAnswer(429, {"retry-after": "x"})]
)
def test_a_service_that_does_not_say_is_left_alone_for_a_while(answer: HeadAnswer) -> None:
    service = Service()
    service.answer = answer
    waits = service.waits()
    assert [waits.seconds("place", lambda: "url") for _ in range(5)] == [None] * 5 and service.asked == 1
    service.now += SILENT_SECONDS + 1
    assert waits.seconds("place", lambda: "url") is None and service.asked == 2


def test_without_a_url_nothing_is_asked() -> None:
    service = Service()
    assert service.waits().seconds("place", lambda: None) is None and service.asked == 0
