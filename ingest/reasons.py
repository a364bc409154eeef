"""Reasons of reject: a closed list, so that reports, tables and tests of different years agree."""

from enum import StrEnum


class Reason(StrEnum):
    """A reason as tables store it; `meaning` explains it in one line."""

    BAD_URL = "bad_url"
    PRIVATE_ADDRESS = "private_address"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    HOST_DOWN = "host_down"
    ROBOTS = "robots"
    OPTED_OUT = "opted_out"
    CONTENT_SIGNAL = "content_signal"
    CONTENT_USAGE = "content_usage"
    TDM_RESERVED = "tdm_reserved"
    IPTC_RESERVED = "iptc_reserved"
    C2PA_RESERVED = "c2pa_reserved"
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
    ALTERED = "altered"
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
    Reason.BAD_URL: "no URL, or not of the form http(s)://host/...",
    Reason.PRIVATE_ADDRESS: "the host, or the target of a redirect, is not on the public internet (--allow-private)",
    Reason.CONNECTION: "no connection to the host, or it was closed before the answer",
    Reason.TIMEOUT: "the answer was not complete at the deadline (--timeout)",
    Reason.HOST_DOWN: "the host failed too often in a row, so its circuit is open (--host-failures)",
    Reason.ROBOTS: "forbidden by the robots.txt of the host or of a redirect's target, or that file cannot be read",
    Reason.OPTED_OUT: "the X-Robots-Tag of the answer forbids this use (noai, noimageai, noindex, noimageindex)",
    Reason.CONTENT_SIGNAL: "the robots.txt of the host or a header of the answer says Content-Signal: ai-train=no",
    Reason.CONTENT_USAGE: "the robots.txt of the host or a header of the answer says Content-Usage: train-ai=n",
    Reason.TDM_RESERVED: "the tdmrep.json of the host or a header of the answer reserves text and data mining",
    Reason.IPTC_RESERVED: "the XMP of the image prohibits data mining (plus:DataMining, of IPTC Photo Metadata)",
    Reason.C2PA_RESERVED: "the C2PA manifest of the image does not allow training on it (cawg.training-mining)",
    Reason.BAD_HEADERS: "the headers of the answer are malformed or too large",
    Reason.REDIRECTS: "too many redirects (--max-redirects), or a redirect without a valid target",
    Reason.NOT_FOUND: "the host answered 404 or 410, or the file is missing",
    Reason.HTTP_ERROR: "the host answered with another error status",
    Reason.TOO_BIG: "more bytes than --max-bytes",
    Reason.EMPTY: "an answer without a body, or an empty file",
    Reason.NO_PICTURE: "a sample of a tar without an image",
    Reason.BAD_MEMBER: "not a plain file with a plain name, a name that occurs twice in a tar, or unreadable metadata",
    Reason.CHANGED: "the file or tar has another length than when it was listed",
    Reason.NOT_AN_IMAGE: "not in a supported image format",
    Reason.TRUNCATED: "the answer, the tar or the image ends early",
    Reason.TOO_SMALL: "a side is shorter than --min-side",
    Reason.TOO_MANY_PIXELS: "more pixels than --max-pixels, by its header",
    Reason.TOO_LONG: "so narrow that its long side would exceed the 65,500 pixels of a JPEG",
    Reason.TOO_NARROW: "the long side is more than --max-aspect times the short one",
    Reason.NEEDS_ENCODING: "not a JPEG that can be stored as it came, under --reencode never",
    Reason.DECODER_FAILED: "the header is that of an image, but the pixels cannot be decoded",
    Reason.DECODER_CRASHED: "the decoder process died",
    Reason.DECODER_TIMEOUT: "the decoder process took longer than --decode-timeout and was killed",
    Reason.ALTERED: "another image than the list's, by its digest there (--sha256-column, --md5-column)",
    Reason.DUPLICATE: "the same bytes as another sample, which gets the tags",
    Reason.NEAR_DUPLICATE: "nearly the same image as another sample, by its PDQ hash; that sample gets the tags",
    Reason.PLACEHOLDER: "the same bytes under many URLs: what hosts send in place of a deleted image",
    Reason.EVALUATION: "in an evaluation set, or nearly the same as an image in one",
    Reason.BLOCKED: "its bytes, or nearly the same image, are on a blocklist",
    Reason.TAKEN_DOWN: "its URL, host or image is on a takedown list",
}


def commonest(counts: dict[str, int], most: int | None = None) -> dict[str, int]:
    """Sorts counts, largest first, equal ones by name; returns the first `most`."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most])
