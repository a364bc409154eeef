"""Whether tags lead to labels at all: where hardly any does, the commonest that do not, and the likely cause.

A cause is found by trying: tags are split by other separators, and folders' names are matched, to see what leads to labels.
"""

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from tagmill.ingest.labels.hashtags import clean, hashtags_in
from tagmill.ingest.labels.matching import TagMatcher
from tagmill.ingest.labels.synsets import WordNet

LEAST = 0.05  # the share of tags with a label below which something is likely to be wrong
WRITTEN = 200  # characters of a tag that are looked at
TRIED = 300  # different tags that a cause is looked for in, the commonest
UNMATCHED_REPORTED = 10  # of these, told in the report
_ENOUGH = 0.2  # the share with a label by which another way of reading is the likely one
_JOINED = 0.02  # the share of tags that look like several in one from which that is said
_MANY = 0.3  # the share of tags that show a sign of another way of reading
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
# Words that stand in sentences and are no tags.
_IN_SENTENCES = frozenset(
    ["a", "an", "and", "at", "by", "for", "from", "in", "is", "of", "on", "or", "the", "to", "with"]
)

Cause = Literal["no_tags", "captions", "separator", "folders", "numbers", "rules", "words", "vocabulary"]
TagCounts = Mapping[str, int]  # tags as written (WRITTEN characters), with how often they come


@dataclass(frozen=True)
class Reading:
    """How the tags were read, as far as that is known."""

    tags_column: str | None = None
    caption_column: str | None = None
    plain: bool = False  # lists of nothing but URLs
    folders: bool = False  # pictures lie in folders, whose names are not read


@dataclass(frozen=True)
class Unmatched:
    """A tag without a label."""

    token: str
    written: str  # as people wrote it
    tags: int  # at least


@dataclass(frozen=True)
class FewLabels:
    """What is wrong where hardly any tag leads to a label, or no sample has one."""

    cause: Cause
    why: str
    remedy: str
    tags: int = 0
    tags_matched: int = 0
    unmatched: tuple[Unmatched, ...] = field(default=())  # the commonest

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Reads `dataclasses.asdict`'s facts."""
        return cls(**{**facts, "unmatched": tuple(Unmatched(**each) for each in facts["unmatched"])})

    @property
    def says(self) -> str:
        """The same in a line."""
        share = f"{self.tags_matched / self.tags:.1%} of {self.tags:,} tags" if self.tags else "no tags, so none"
        told = ", ".join(f"{each.written[:40]!r} {each.tags:,}" for each in self.unmatched[:5])
        tail = f"; commonest without a label: {told}" if told else ""
        return f"{share} led to a label: {self.why} ({self.remedy}){tail}"


def few_labels(
    tags: int,
    matched: int,
    unmatched: TagCounts,
    matcher: TagMatcher,
    reading: Reading,
    folders: TagCounts | None = None,
) -> FewLabels | None:
    """The likely cause where fewer than LEAST of the tags lead to a label; else None.

    `unmatched` are tags that lead to none, some of the commonest; `folders` names of folders that are not read as tags.
    """
    if tags and matched >= LEAST * tags:
        return None
    tried = dict(sorted(unmatched.items(), key=lambda item: (-item[1], item[0]))[:TRIED])
    cause, why, remedy = _cause(tried if tags else {}, matcher, reading, folders or {})
    told = (Unmatched(matcher.match(written).token, written, count) for written, count in tried.items())
    return FewLabels(cause, why, remedy, tags, matched, tuple(told)[:UNMATCHED_REPORTED])


def several_in_one(tags: int, unmatched: TagCounts, matcher: TagMatcher) -> str | None:
    """What to say where most tags lead to labels, but some look like several tags that nothing has split: of `tags` at least
    the share _JOINED has no label, while each of its parts between one and the same separator has one."""

    def matches(part: str) -> bool:
        return bool(matcher.match(part).labels)

    for separator in _SEPARATORS:
        if separator == " ":  # "hot dog stand" is one tag
            continue
        joined = {
            tag: count
            for tag, count in unmatched.items()
            if separator in tag.strip(separator) and all(map(matches, filter(None, tag.split(separator))))
        }
        if sum(joined.values()) >= max(1, _JOINED * tags):
            example = max(joined, key=lambda tag: (joined[tag], tag))
            share = f"{sum(joined.values()) / tags:.1%} of {tags:,} tags"
            return f"{share}, such as {example[:40]!r}, look like several in one (is {_shown(separator)} a separator, too?)"
    return None


def clipped(tag: str) -> str:
    """A tag as it is looked at here."""
    return tag[:WRITTEN]


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
        return "no_tags", why, "name a column of tags by --tags-column"
    if reading.folders:
        return (
            "no_tags",
            "no tag stands beside the pictures",
            "give --tags-from-folder, --tags-column or --caption-column",
        )
    why = f"the column {reading.tags_column!r} is empty" if reading.tags_column else "there are no tags at all"
    return (
        "no_tags",
        why,
        "name the column of tags by --tags-column, or one of captions with #hashtags by --caption-column",
    )


def _captions(tags: TagCounts, reading: Reading) -> tuple[Cause, str, str] | None:
    if _share(tags, lambda tag: " " in tag and bool(hashtags_in(tag)) and not tag.startswith("#")) >= _MANY:
        name = shlex.quote(reading.tags_column or "COLUMN")
        return (
            "captions",
            "the tags are captions with #hashtags",
            f"give --caption-column {name} in place of --tags-column",
        )
    if _share(tags, _is_sentence) >= _MANY:
        remedy = "name the column of tags by --tags-column; of captions (--caption-column) only #hashtags are read"
        return "captions", "the tags are sentences", remedy
    return None


def _is_sentence(tag: str) -> bool:
    words = tag.lower().split()
    return len(words) >= 3 and not _IN_SENTENCES.isdisjoint(words)


def _separator(tags: TagCounts, matcher: TagMatcher) -> tuple[Cause, str, str] | None:
    """The separator by which most of the parts of tags would lead to labels."""
    best, most = "", _ENOUGH
    for separator in _SEPARATORS:
        if _share(tags, lambda tag, by=separator: by in tag.strip(by)) < _MANY:  # type: ignore[misc]
            continue
        parts = _counted((part, count) for tag, count in tags.items() for part in tag.split(separator) if part.strip())
        share = _share(parts, lambda part: bool(matcher.match(part).labels))
        if share > most:
            best, most = separator, share
    if not best:
        return None
    example = next(tag for tag in tags if best in tag.strip(best))
    return "separator", f"tags such as {example[:40]!r} are several in one", f"give --tags-separator {_shown(best)}"


def _shown(separator: str) -> str:
    """A separator as it is given on a command line."""
    return "'\\t'" if separator == "\t" else shlex.quote(separator)


def _folders(folders: TagCounts, matcher: TagMatcher) -> tuple[Cause, str, str] | None:
    if _share(folders, lambda name: bool(matcher.match(name).labels)) < _ENOUGH:
        return None
    example = max(folders, key=lambda name: (folders[name], name))
    return "folders", f"the pictures lie in folders such as {example[:40]!r}", "give --tags-from-folder"


def _rules(tags: TagCounts, matcher: TagMatcher) -> tuple[Cause, str, str]:
    """Tags that are words: nouns that the rules take out, or no nouns that WordNet has."""
    nouns = WordNet.load()
    reasons = {tag: matcher.why_not(matcher.match(tag).token) for tag in tags}
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
    """The share of tags, by how often they come."""
    return sum(count for tag, count in tags.items() if holds(tag)) / max(1, sum(tags.values()))


def _counted(items: Iterable[tuple[str, int]]) -> TagCounts:
    counts: Counter[str] = Counter()
    for text, count in items:
        counts[text] += count
    return counts
