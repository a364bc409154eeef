"""Why a row did not become a sample: a closed list, so that reports, tables and tests of many years agree."""

from enum import StrEnum


class Reason(StrEnum):
    """A reason as tables hold it; `meaning` says it to a person in one line."""

    BAD_URL = "bad_url"
    PRIVATE_ADDRESS = "private_address"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    HOST_DOWN = "host_down"
    ROBOTS = "robots"
    OPTED_OUT = "opted_out"
    BAD_HEADERS = "bad_headers"
    REDIRECTS = "redirects"
    NOT_FOUND = "not_found"
    HTTP_ERROR = "http_error"
    TOO_BIG = "too_big"
    EMPTY = "empty"
    NO_PICTURE = "no_picture"
    BAD_MEMBER = "bad_member"
    CHANGED = "changed"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    TOO_SMALL = "too_small"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LONG = "too_long"
    TOO_NARROW = "too_narrow"
    NEEDS_ENCODING = "needs_encoding"
    DECODER_FAILED = "decoder_failed"
    DECODER_CRASHED = "decoder_crashed"
    DECODER_TIMEOUT = "decoder_timeout"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    PLACEHOLDER = "placeholder"
    EVALUATION = "evaluation"
    BLOCKED = "blocked"
    TAKEN_DOWN = "taken_down"

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    Reason.BAD_URL: "no URL, or one that is not http(s)://host/...",
    Reason.PRIVATE_ADDRESS: "the host, or one that it redirects to, is not on the public internet (--allow-private)",
    Reason.CONNECTION: "no connection to the host, or it broke off before the answer",
    Reason.TIMEOUT: "the whole answer did not come before the deadline",
    Reason.HOST_DOWN: "its host failed so often in a row that it was no longer asked",
    Reason.ROBOTS: "the robots.txt of its host, or of one that it redirects to, forbids it or cannot be read",
    Reason.OPTED_OUT: "the answer's X-Robots-Tag forbids this use (noai, noimageai, noindex, noimageindex)",
    Reason.BAD_HEADERS: "the answer's headers are malformed or too large",
    Reason.REDIRECTS: "too many redirects, or one that leads nowhere",
    Reason.NOT_FOUND: "the host says that it is not there (404 or 410), or its file is gone",
    Reason.HTTP_ERROR: "the host answered with another error status",
    Reason.TOO_BIG: "more bytes than max_bytes",
    Reason.EMPTY: "an answer without a body, or an empty file",
    Reason.NO_PICTURE: "a sample of a tar without a picture",
    Reason.BAD_MEMBER: "no plain file with a plain name, two of one name, or metadata that cannot be read",
    Reason.CHANGED: "its file or tar is not as long as it was when it was listed",
    Reason.NOT_AN_IMAGE: "the bytes are in no picture format that is read",
    Reason.TRUNCATED: "the answer, the tar or the picture ends too early",
    Reason.TOO_SMALL: "a side is shorter than min_side",
    Reason.TOO_MANY_PIXELS: "more pixels than max_pixels, by its header",
    Reason.TOO_LONG: "so narrow that its long side would not fit into a JPEG (65,500 pixels)",
    Reason.TOO_NARROW: "a long side of more than max_aspect times the short one",
    Reason.NEEDS_ENCODING: "no JPEG that can be stored as it came, and the run must not encode it anew",
    Reason.DECODER_FAILED: "a picture by its header, but its pixels cannot be decoded",
    Reason.DECODER_CRASHED: "a decoder process died over it",
    Reason.DECODER_TIMEOUT: "a decoder process was not done with it before decode_timeout, and was ended",
    Reason.DUPLICATE: "the same bytes as another sample, which keeps its tags too",
    Reason.NEAR_DUPLICATE: "nearly the same picture as another sample, by its PDQ hash; that one keeps its tags too",
    Reason.PLACEHOLDER: "the same bytes under many URLs: no picture, but what hosts send instead of one",
    Reason.EVALUATION: "in an evaluation set, or nearly the same picture as one of it",
    Reason.BLOCKED: "a blocklist forbids its bytes, or a picture nearly the same",
    Reason.TAKEN_DOWN: "a takedown list forbids its URL, its host or its picture",
}


OUTCOMES = ("ok", *Reason)  # what becomes of a row


def commonest(counts: dict[str, int], most: int | None = None) -> dict[str, int]:
    """Counts from the largest down, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most])
