"""The list of reasons is closed, and a person can read each of them."""

from tagmill.ingest.reasons import Reason


def test_every_reason_has_a_meaning_in_one_line() -> None:
    meanings = [reason.meaning for reason in Reason]
    assert all(meaning and "\n" not in meaning for meaning in meanings)
    assert len(set(meanings)) == len(meanings)


def test_reasons_are_the_text_that_tables_hold() -> None:
    """Published corpora hold these words."""
    words = "altered bad_headers bad_member"
    words += " bad_url blocked changed connection decoder_crashed decoder_failed decoder_timeout duplicate"
    words += " content_signal content_usage tdm_reserved iptc_reserved c2pa_reserved"
    words += " empty evaluation host_down http_error near_duplicate needs_encoding no_picture not_an_image not_found opted_out"
    words += " placeholder private_address redirects robots taken_down timeout"
    words += " too_big too_long too_many_pixels too_narrow too_small truncated"
    assert sorted(Reason) == sorted(words.split())
    assert Reason("timeout") is Reason.TIMEOUT and f"{Reason.TIMEOUT}" == "timeout"
