"""Warns when hardly any tag leads to a label: finds the commonest tags without one, and the likely cause.

A cause is found by trial: tags are split by other separators, and folder names are matched, to see what leads to
labels.
"""

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from tagmill.ingest.labels.hashtags import clean, hashtags_in
from tagmill.ingest.labels.matching import TagMatcher
from tagmill.ingest.labels.synsets import WordNet
from tagmill.shards.terminal.safe_text import safe_text

MIN_LABEL_SHARE = 0.05  # share of tags with a label below which something is probably wrong
MAX_TAG_CHARS = 200  # characters of a tag that are kept
TAGS_EXAMINED = 300  # distinct tags in which a cause is searched, the commonest
UNMATCHED_REPORTED = 10  # of these, how many the report lists
_LIKELY_SHARE = 0.2  # share with a label at which another reading of the tags is the likely one
_JOINED_SHARE = 0.02  # share of tags that look like several in one, from which that is reported
_SIGN_SHARE = 0.3  # share of tags that show a sign of another reading
_SEPARATORS = (
    ";",
    "|",
    "/",
    ",",
    "\t",
    "\n",
    "+",
    "\N{MIDDLE DOT}",
    "\N{IDEOGRAPHIC COMMA}",
    "\N{FULLWIDTH COMMA}",
    " ",
)
# Words of sentences, which are no tags.
_IN_SENTENCES = frozenset(
    ["a", "an", "and", "at", "by", "for", "from", "in", "is", "of", "on", "or", "the", "to", "with"]
)

Cause = Literal["no_tags", "captions", "separator", "folders", "numbers", "rules", "words", "vocabulary"]
TagCounts = Mapping[str, int]  # tags as written (MAX_TAG_CHARS characters) -> how often they occur


@dataclass(frozen=True)
class Reading:
    """How the tags were read, as far as known."""

    tags_column: str | None = None
    caption_column: str | None = None
    plain: bool = False  # lists of URLs without other columns
    folders: bool = False  # images are in folders whose names are not read as tags
    caption_nouns: bool = False


@dataclass(frozen=True)
class Unmatched:
    """A tag without a label."""

    token: str
    written: str  # as written in the list
    tags: int  # number of tags, at least


@dataclass(frozen=True)
class FewLabels:
    """A warning: hardly any tag leads to a label, or no sample has one."""

    cause: Cause
    why: str
    remedy: str
    tags: int = 0
    tags_matched: int = 0
    unmatched: tuple[Unmatched, ...] = field(default=())  # the commonest tags without a label

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Reads the output of `dataclasses.asdict`."""
        return cls(**{**facts, "unmatched": tuple(Unmatched(**each) for each in facts["unmatched"])})

    @property
    def message(self) -> str:
        """The warning in one line."""
        share = f"{self.tags_matched / self.tags:.1%} of {self.tags:,} tags" if self.tags else "no tags, so none"
        examples = ", ".join(f"{each.written[:40]!r} {each.tags:,}" for each in self.unmatched[:5])
        tail = f"; commonest without a label: {examples}" if examples else ""
        return f"{share} led to a label: {self.why} ({self.remedy}){tail}"

    @property
    def warning(self) -> str:
        """The warning at the end of a command, a few sentences; what is read when a corpus is made needs another ingest."""
        share = f"{self.tags_matched / self.tags:.1%} of {self.tags:,} tags led to a label" if self.tags else "no tags"
        again = "" if self.cause in ("rules", "words", "vocabulary") else "ingest again and "
        tags = ", ".join(f"'{safe_text(each.written, 24)}' {each.tags:,}" for each in self.unmatched[:3])
        examples = f" Commonest tags without a label: {tags}." if tags else ""
        return safe_text(f"Hardly any labels, {share}: {self.why}; {again}{self.remedy}.", 300) + examples


def few_labels(
    tags: int,
    matched: int,
    unmatched: TagCounts,
    matcher: TagMatcher,
    reading: Reading,
    folders: TagCounts | None = None,
) -> FewLabels | None:
    """Returns the likely cause if less than MIN_LABEL_SHARE of the tags lead to a label, else None.

    `unmatched` holds tags without a label, some of the commonest; `folders` names of folders that are not read as tags.
    """
    if tags and matched >= MIN_LABEL_SHARE * tags:
        return None
    tried = dict(sorted(unmatched.items(), key=lambda item: (-item[1], item[0]))[:TAGS_EXAMINED])
    cause, why, remedy = _cause(tried if tags else {}, matcher, reading, folders or {})
    reported = (Unmatched(matcher.match(written).token, written, count) for written, count in tried.items())
    return FewLabels(cause, why, remedy, tags, matched, tuple(reported)[:UNMATCHED_REPORTED])


def find_joined_tags(tags: int, unmatched: TagCounts, matcher: TagMatcher) -> str | None:
    """Returns a warning if at least _JOINED_SHARE of `tags` look like several tags in one, else None.

    These have no label, while each of their parts between one and the same separator has one.
    """

    def matches(part: str) -> bool:
        return bool(matcher.match(part).labels)

    for separator in _SEPARATORS:
        if separator == " ":  # "hot dog bun" is one tag
            continue
        joined = {
            tag: count
            for tag, count in unmatched.items()
            if separator in tag.strip(separator) and all(map(matches, filter(None, tag.split(separator))))
        }
        if sum(joined.values()) >= max(1, _JOINED_SHARE * tags):
            example = max(joined, key=lambda tag: (joined[tag], tag))
            share = f"{sum(joined.values()) / tags:.1%} of {tags:,} tags"
            return f"{share}, such as {example[:40]!r}, look like several in one (is {_quoted(separator)} a separator, too?)"
    return None


def clip_tag(tag: str) -> str:
    """Returns a tag cut to MAX_TAG_CHARS characters."""
    return tag[:MAX_TAG_CHARS]


def _cause(tags: TagCounts, matcher: TagMatcher, reading: Reading, folders: TagCounts) -> tuple[Cause, str, str]:
    found = _captions(tags, reading) or _separator(tags, matcher) or _folders(folders, matcher)
    if found:
        return found
    if not tags:
        return _no_tags(reading)
    if _share(tags, lambda tag: tag.strip("#").isdecimal()) >= 0.5:
        return "numbers", "the tags are numbers", "name the column with words by --tags-column"
    return _rules(tags, matcher)


def _no_tags(reading: Reading) -> tuple[Cause, str, str]:
    if reading.plain:
        return "no_tags", "a list of plain URLs has no tags", "give a list with a column of tags"
    if reading.caption_column and not reading.tags_column:
        why = f"no caption in the column {reading.caption_column!r} has a #hashtag"
        if reading.caption_nouns:
            return "no_tags", f"{why} or a noun", "name a column of tags by --tags-column"
        return "no_tags", why, "give --caption-nouns, or name a column of tags by --tags-column"
    if reading.folders:
        return (
            "no_tags",
            "there are no tags beside the images",
            "give --tags-from-folder, --tags-column or --caption-column",
        )
    why = f"the column {reading.tags_column!r} is empty" if reading.tags_column else "there are no tags at all"
    return (
        "no_tags",
        why,
        "name the column of tags by --tags-column, or one of captions by --caption-column, with --caption-nouns for nouns",
    )


def _captions(tags: TagCounts, reading: Reading) -> tuple[Cause, str, str] | None:
    if _share(tags, lambda tag: " " in tag and bool(hashtags_in(tag)) and not tag.startswith("#")) >= _SIGN_SHARE:
        name = shlex.quote(reading.tags_column or "COLUMN")
        return (
            "captions",
            "the tags are captions with #hashtags",
            f"give --caption-column {name} in place of --tags-column",
        )
    if _share(tags, _is_sentence) >= _SIGN_SHARE:
        name = shlex.quote(reading.tags_column or "COLUMN")
        remedy = (
            f"give --caption-column {name} --caption-nouns in place of --tags-column, or name a column of tags by that"
        )
        return "captions", "the tags are sentences", remedy
    return None


def _is_sentence(tag: str) -> bool:
    words = tag.lower().split()
    return len(words) >= 3 and not _IN_SENTENCES.isdisjoint(words)


def _separator(tags: TagCounts, matcher: TagMatcher) -> tuple[Cause, str, str] | None:
    """Finds the separator by which most of the parts of tags would lead to labels."""
    best, most = "", _LIKELY_SHARE
    for separator in _SEPARATORS:
        if _share(tags, lambda tag, by=separator: by in tag.strip(by)) < _SIGN_SHARE:  # type: ignore[misc]
            continue
        parts = _summed((part, count) for tag, count in tags.items() for part in tag.split(separator) if part.strip())
        share = _share(parts, lambda part: bool(matcher.match(part).labels))
        if share > most:
            best, most = separator, share
    if not best:
        return None
    example = next(tag for tag in tags if best in tag.strip(best))
    return "separator", f"tags such as {example[:40]!r} are several in one", f"give --tags-separator {_quoted(best)}"


def _quoted(separator: str) -> str:
    """Returns a separator as it is written on a command line."""
    return "'\\t'" if separator == "\t" else shlex.quote(separator)


def _folders(folders: TagCounts, matcher: TagMatcher) -> tuple[Cause, str, str] | None:
    if _share(folders, lambda name: bool(matcher.match(name).labels)) < _LIKELY_SHARE:
        return None
    example = max(folders, key=lambda name: (folders[name], name))
    return "folders", f"the images are in folders such as {example[:40]!r}", "give --tags-from-folder"


def _rules(tags: TagCounts, matcher: TagMatcher) -> tuple[Cause, str, str]:
    """Handles tags that are words: nouns that the rules exclude, or no nouns of WordNet."""
    nouns = WordNet.load()
    reasons = {tag: matcher.no_match_reason(matcher.match(tag).token) for tag in tags}
    for reason, why, remedy in (
        ("stopped", "the tags are stopped", "give another --stop"),
        ("named_entity", "the tags are named entities", "make a view with --instances"),
        ("other_file", "the tags have no meaning in the --lexfiles that are kept", "give others"),
    ):
        if _share(tags, lambda tag, of=reason: reasons[tag] == of) >= 0.5:  # type: ignore[misc]
            return "rules", why, remedy
    if _share(tags, lambda tag: reasons[tag] == "too_short" and bool(nouns.senses(clean(tag), short=True))) >= 0.5:
        return "rules", "the tags have one or two characters", "give --short-tokens"
    foreign = _share(tags, lambda tag: not tag.isascii()) >= 0.5
    why = "the tags are words of another language" if foreign else "the tags are no English nouns"
    option = "--translations" if foreign else "--translations or --aliases"
    return "words", why, f"make a view with {option} (tagmill corpus view)"


def _share(tags: TagCounts, holds: Callable[[str], bool]) -> float:
    """Returns the share of tags for which `holds` is true, weighted by how often they occur."""
    return sum(count for tag, count in tags.items() if holds(tag)) / max(1, sum(tags.values()))


def _summed(items: Iterable[tuple[str, int]]) -> TagCounts:
    counts: Counter[str] = Counter()
    for text, count in items:
        counts[text] += count
    return counts
