"""When a request is repeated: the backoff between tries, and the share of requests that a run may repeat."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_WAIT = 0.5  # seconds before the second try, doubled for each further one
MAX_WAIT = 8.0  # seconds
FREE_RETRIES = 32  # retries that are allowed before any request counts, so that short lists are retried too


def backoff(attempt: int) -> float:
    """Returns seconds to wait after try `attempt` (from 0).

    Half of it is random, so that failed requests spread out.
    """
    return min(MAX_WAIT, FIRST_WAIT * 2.0 ** min(attempt, 30)) * (0.5 + random.random() / 2)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Returns the seconds in a `Retry-After` header, which holds a number or a date (RFC 9110); None where it has neither."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        then = parsedate_to_datetime(text)
        then = then.replace(tzinfo=UTC) if then.tzinfo is None else then
        return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


class RetryBudget:
    """Allows retries for at most `share` of all first requests, so that an outage does not multiply the traffic."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._requests = 0
        self._retries = 0

    def count_request(self) -> None:
        """Counts the first request of a URL."""
        self._requests += 1

    def take_retry(self) -> bool:
        """Returns whether one more retry is allowed, and counts it if so."""
        if self._retries + 1 > FREE_RETRIES + self._share * self._requests:
            return False
        self._retries += 1
        return True
