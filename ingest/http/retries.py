"""When something is asked for again: how long to wait, and how much asking again a run may do."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_WAIT, MOST_WAIT = 0.5, 8.0  # seconds before another try, doubled each time
FREE = 32  # retries that need no earlier requests, so that a short list is not worse off than a long one


def backoff(attempt: int) -> float:
    """Seconds to wait after try `attempt` (from 0): the second half is random, or all who failed would return at once."""
    return min(MOST_WAIT, FIRST_WAIT * 2.0 ** min(attempt, 30)) * (0.5 + random.random() / 2)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a `Retry-After` header asks for, from a number or a date (RFC 9110); None where it says neither."""
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
    """Of all first requests, at most a share may be asked again: a web that is down is not asked three times over."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._asked = self._taken = 0

    def asked(self) -> None:
        """A URL is asked for the first time."""
        self._asked += 1

    def take(self) -> bool:
        """Whether there may be one more retry, which is then counted."""
        if self._taken + 1 > FREE + self._share * self._asked:
            return False
        self._taken += 1
        return True
