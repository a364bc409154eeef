"""Why protocols leave images of a set out, beside the reasons of ingest for images that cannot be decoded."""

from typing import Final

MISSING: Final = "missing"
NO_LABEL: Final = "no_label"
SEVERAL_LABELS: Final = "several_labels"
NOT_FINITE: Final = "not_finite"
NO_ATTRIBUTE: Final = "no_attribute"

SKIP_REASONS = {
    MISSING: "the set names the image, and its bytes are not there or are more than 50 MB",
    NO_LABEL: "the image has no label, and the protocol needs one",
    SEVERAL_LABELS: "the image has several labels, and the protocol needs exactly one",
    NOT_FINITE: "the network gives numbers for the image that are not finite",
    NO_ATTRIBUTE: "the table of an audit has no row of the image, or no value in it",
}
"""Meaning of each reason. Other reasons in `skipped` are `tagmill.ingest.reasons.Reason`."""
