"""Options of fetching: limits, patience and politeness."""

import re
from dataclasses import dataclass, field
from typing import Annotated

from tagmill.ingest.config.options import Options
from tagmill.ingest.config.stages import FETCH, NO_BYTE
from tagmill.shards.settings.ranges import Between, Count, CountOrZero, Seconds

ROWS_UNNAMED = 10_000
NO_CONTACT = (
    "The User-Agent says nothing of who you are. With --contact, a URL or mail address, owners of sites can write to you "
    "before they shut you out."
)


@dataclass(frozen=True, kw_only=True)
class FetchOptions(Options):
    """How URLs are fetched."""

    concurrency: Count = field(default=64, metadata=NO_BYTE)
    """Requests in flight over the whole run; worker processes share them."""
    host_concurrency: Count = field(default=16, metadata=NO_BYTE)
    """Requests in flight to one host over the whole run; each worker process may have at least one."""
    host_delay: Annotated[float, Between(0, 3600)] = field(default=0.0, metadata=NO_BYTE)
    """Seconds between the starts of two requests to one host, over the whole run."""
    host_failures: Count = field(default=16, metadata=NO_BYTE)
    """Failures of a host in a row after which a worker process pauses its requests for 60 seconds (circuit breaker)."""
    timeout: Seconds = field(default=30.0, metadata=NO_BYTE)
    """Seconds for the whole answer of a URL, with redirects and retries but without the wait for a free slot at the host."""
    retries: CountOrZero = field(default=2, metadata=NO_BYTE)
    """Further tries after status 429, 5xx or a failed connection, no sooner than Retry-After says."""
    retry_share: Annotated[float, Between(0)] = field(default=0.1, metadata=NO_BYTE)
    """Retry budget: the most retries, as a share of the URLs requested."""
    max_bytes: Count = field(default=50_000_000, metadata=FETCH)
    """Maximum size of an image file, bytes."""
    max_redirects: CountOrZero = field(default=5, metadata=FETCH)
    """Maximum number of redirects of a URL."""
    allow_private: bool = field(default=False, metadata=FETCH)
    """Also fetch from loopback and private addresses."""
    honour_opt_outs: bool = field(default=True, metadata=FETCH)
    """Reject images whose X-Robots-Tag header says noai, noimageai, noindex or noimageindex."""
    honour_robots: bool = field(default=True, metadata=FETCH)
    """Fetch the robots.txt of each host first and obey it."""
    honour_content_signal: bool = field(default=True, metadata=FETCH)
    """Reject images whose host, in robots.txt or a header, says `Content-Signal: ai-train=no`."""
    honour_content_usage: bool = field(default=True, metadata=FETCH)
    """Reject images whose host, in robots.txt or a header, says `Content-Usage: train-ai=n`."""
    honour_tdm: bool = field(default=True, metadata=FETCH)
    """Reject images whose host, in tdmrep.json or a header, reserves text and data mining (TDMRep)."""
    honour_iptc: bool = field(default=True, metadata=FETCH)
    """Reject images whose XMP prohibits data mining (plus:DataMining, of IPTC Photo Metadata)."""
    honour_c2pa: bool = field(default=True, metadata=FETCH)
    """Reject images whose C2PA manifest does not allow training (cawg.training-mining, c2pa.training-mining)."""
    max_crawl_delay: Annotated[float, Between(0, 3600)] = field(default=1.0, metadata=NO_BYTE)
    """Longest delay between two requests to a host that its robots.txt can set, seconds."""
    robots_max_age: Annotated[float, Between(0)] = field(default=86400.0, metadata=NO_BYTE)
    """Seconds after which a resumed run fetches robots.txt again."""
    user_agent: str = field(default="tagmill/0 (image corpus builder)", metadata=NO_BYTE)
    """User-Agent header of requests; its first word is the name that robots.txt may use."""
    contact: str | None = field(default=None, metadata=NO_BYTE)
    """URL or mail address where the owners of sites reach you; it is added to the User-Agent."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.user_agent.strip() or not self.user_agent.isascii() or not self.user_agent.isprintable():
            self._refuse("user_agent", "give printable ASCII, since it is sent as a header")
        if self.contact is not None and not _is_contact(self.contact):
            self._refuse("contact", "give a URL (https://example.org/bot) or a mail address, in ASCII")

    def contact_advice(self, rows: int) -> str | None:
        """Returns what to say before so many rows of strangers' hosts are fetched without a name; None: nothing."""
        unnamed = self.contact is None and self.user_agent == FetchOptions.user_agent
        return NO_CONTACT if unnamed and rows > ROWS_UNNAMED and not self.allow_private else None

    @property
    def full_user_agent(self) -> str:
        """The User-Agent header: `user_agent`, and `contact` as crawlers give it."""
        return self.user_agent if self.contact is None else f"{self.user_agent} (+{self.contact})"


def _is_contact(text: str) -> bool:
    """Whether a text is a URL of the web or a mail address, without characters that end a comment of the header."""
    return re.fullmatch(r"(?:https?://[!-'*-~]+|(?:mailto:)?[!-'*-?A-~]+@[!-'*-~]+)", text) is not None
