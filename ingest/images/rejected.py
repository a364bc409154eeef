"""Why a body gives no picture: the answer, and the exception that carries it up to `images.prepare`."""

from dataclasses import dataclass

from tagmill.ingest.reasons import Reason


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a body gives no picture."""

    reason: Reason
    detail: str | None = None


class RejectError(Exception):
    """Ends the work on one body."""

    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        super().__init__(reason, detail)
        self.rejected = Rejected(reason, detail)
