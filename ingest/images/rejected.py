"""The reason why bytes give no image, as a value and as the exception that carries it up to `prepare`."""

from dataclasses import dataclass

from tagmill.ingest.reasons import Reason


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why bytes give no image."""

    reason: Reason
    detail: str | None = None


class RejectError(Exception):
    """Ends the processing of one image."""

    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        super().__init__(reason, detail)
        self.rejected = Rejected(reason, detail)
