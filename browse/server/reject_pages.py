"""The page of rejects: rows of one reason, or the duplicates of one sample."""

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tagmill.browse.search.cursor import Cursor
from tagmill.browse.search.reject_rows import reject_rows
from tagmill.browse.server.home_facts import read_report
from tagmill.browse.server.site import Site
from tagmill.browse.takedown_rules import NUMBERS_ONLY
from tagmill.ingest import Reason
from tagmill.shards.errors import ConfigError, TakenDownError

ROWS = 100  # of a page

_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class RejectPages:
    """Answers requests for rejects."""

    site: Site

    def rejects(self, request: Request) -> Response:
        """Answers `/rejects`: the counts by reason, and with `reason` or `duplicates_of` the rows."""
        snapshot, asked = self.site.watch.now(), request.query_params
        reason, key = asked.get("reason", ""), asked.get("duplicates_of", "")
        if reason and reason not in set(Reason):
            raise ConfigError(f"no reason {reason[:40]!r}", "rejects", "follow the links of the page of rejects")
        if key and not _KEY.fullmatch(key):
            raise ConfigError(f"no key {key[:40]!r}", "rejects", "follow the link of a sample's page")
        if key in snapshot.taken_keys:
            raise TakenDownError("taken down", "rejects", "go back to the first page")
        report = read_report(snapshot, [])
        counts = report.get("rejects")
        page = None
        if reason or key:
            begin = Cursor.parse(asked.get("from", ""))
            page = reject_rows(snapshot, begin, ROWS, reason=reason, yields_to=key, clock=self.site.clock)
        values = {
            "reason": reason,
            "meaning": Reason(reason).meaning if reason else "",
            "key": key,
            "page": page,
            "counts": counts if isinstance(counts, dict) else {},
            "hidden": {str(each) for each in NUMBERS_ONLY},
            "meanings": {str(each): each.meaning for each in Reason},
            "full": page is not None and len(page.rows) == ROWS,
        }
        return self.site.page("rejects", snapshot, values)
