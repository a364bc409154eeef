"""Whether a picture's own metadata forbids training on it."""

from tagmill.ingest.reasons import Reason
from tagmill.ingest.statements.data_mining import prohibited_by
from tagmill.ingest.statements.metadata_blocks import metadata_blocks
from tagmill.ingest.statements.training_mining import not_allowed_by


def forbidding_statement(body: bytes, kinds: frozenset[Reason]) -> tuple[Reason, str] | None:
    """Returns the reason and the statement of an image file that forbid training on it; None: there is none.

    `kinds` are the reasons to look for, of IPTC_RESERVED and C2PA_RESERVED. For any bytes nothing is raised, and memory and
    time are bounded by their length.
    """
    if not kinds:
        return None
    for kind, block in metadata_blocks(body):
        reason = Reason.IPTC_RESERVED if kind == "xmp" else Reason.C2PA_RESERVED
        if reason not in kinds:
            continue
        found = prohibited_by(block) if kind == "xmp" else not_allowed_by(block)
        if found is not None:
            return reason, found
    return None
