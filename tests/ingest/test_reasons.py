"""The list of reasons is closed, and a person can read each of them."""

from tagmill.ingest.reasons import Reason


def test_every_reason_has_a_meaning_in_one_line() -> None:
    meanings = [reason.meaning for reason in Reason]
    assert all(meaning and "\n" not in meaning for meaning in meanings)
    assert len(set(meanings)) == len(meanings)


def test_reasons_are_the_text_that_tables_hold() -> None:
    """Published corpora hold these words."""
    words = "bad_headers bad_member bad_url changed connection decoder_crashed decoder_failed decoder_timeout duplicate empty"
    words += " host_down http_error needs_encoding no_picture not_an_image not_found opted_out private_address redirects robots"
    words += " taken_down timeout"
    words += " too_big too_long too_many_pixels too_narrow too_small truncated"
    assert sorted(Reason) == words.split()
    assert Reason("timeout") is Reason.TIMEOUT and f"{Reason.TIMEOUT}" == "timeout"
