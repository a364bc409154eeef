"""Reasons of transfer beside those of ingest."""

from tagmill.ingest.reasons import Reason
from tagmill.transfer.sets import skip_reasons


def test_each_reason_has_a_meaning_and_none_is_one_of_ingest() -> None:
    named = {value for name, value in vars(skip_reasons).items() if name.isupper() and isinstance(value, str)}
    assert named == set(skip_reasons.SKIP_REASONS) and all(skip_reasons.SKIP_REASONS.values())
    assert not named & {str(reason) for reason in Reason}
