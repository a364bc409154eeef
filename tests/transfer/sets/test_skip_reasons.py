"""Reasons of transfer beside those of ingest."""

from tagmill.ingest.reasons import Reason
from tagmill.transfer.sets import skip_reasons
from tests.markdown import ROOT


def test_each_reason_has_a_meaning_and_none_is_one_of_ingest() -> None:
    named = {value for name, value in vars(skip_reasons).items() if name.isupper() and isinstance(value, str)}
    assert named == set(skip_reasons.SKIP_REASONS) and all(skip_reasons.SKIP_REASONS.values())
    assert not named & {str(reason) for reason in Reason}


def test_the_page_has_each_reason_with_its_meaning() -> None:
    page = (ROOT / "docs/transfer/zero_shot.md").read_text()
    for reason, meaning in skip_reasons.SKIP_REASONS.items():
        assert f"| `{reason}` | {meaning[0].upper()}{meaning[1:]} |" in page
