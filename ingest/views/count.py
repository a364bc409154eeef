"""First pass of a view, one task per shard: which labels each sample carries, and how many samples carry each."""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.labels.coverage import clip_tag
from tagmill.ingest.labels.matching import MatchRules, TagMatcher
from tagmill.ingest.labels.synsets import set_text
from tagmill.ingest.views.keyed_random import keys_of
from tagmill.ingest.views.scratch_files import SampleLabels, write_sample_labels
from tagmill.shards.arrays import Int64s
from tagmill.shards.errors import CorpusError
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.manifest import ShardEntry
from tagmill.shards.storage.store import Store

Labels = tuple[str, ...]  # texts of synset sets

MAX_TAGS = 1_000  # tags of a sample after the union: the commonest, then by name
TAGS_CACHED = 1 << 20  # tags whose labels a worker caches
MAX_DROPPED = 500  # tokens without a label that a shard reports
MAX_UNMATCHED = 100  # tags without a label, as written, that a shard reports


@dataclass(frozen=True)
class CountTask:
    """One shard, and how its tags are matched."""

    store: Store
    entry: ShardEntry
    rules: MatchRules
    union: Path | None  # tags of duplicates, see `tag_union.py`
    spool: Path


@dataclass
class CountedTags:
    """Counts of samples by label and token in one shard. Labels are keyed by the text of their synset set."""

    split: str
    labels: dict[str, int]
    tokens: dict[str, int]
    labels_of: dict[str, Labels]  # the labels of each token
    dropped: dict[str, int] = field(default_factory=dict)  # tokens without a label -> tags, the commonest
    unmatched: dict[str, int] = field(default_factory=dict)  # tags without a label as written, the commonest
    tags: int = 0  # over samples, after the union
    tags_matched: int = 0


def count_tags(task: CountTask) -> CountedTags:
    """Matches the tags of one shard, counts them, and leaves the pairs (sample, label) in the spool.

    Raises CorpusError where the shard's table has not as many rows as the manifest says.
    """
    table = read_table(task.store.read(f"shards/{task.entry.name}.parquet"), ["key", "tags"])
    if len(table) != task.entry.samples:
        what = f"{len(table)} rows, the manifest says {task.entry.samples}"
        raise CorpusError(what, f"{task.store.url}/shards/{task.entry.name}.parquet", "restore the shard")
    matched = match_tags(table["tags"], pq.read_table(task.union) if task.union else None, task.rules, task.entry.split)
    keys = keys_of(table["key"].to_pylist())
    samples, labels = matched.samples.astype(np.int32), matched.labels.astype(np.int32)
    write_sample_labels(task.spool, task.entry.name, SampleLabels(samples, labels, matched.sets, keys))
    return matched.counts


@dataclass(frozen=True)
class MatchedTags:
    """The labels of samples: distinct pairs (sample, label) [P], sorted; a label is an index into `sets`."""

    counts: CountedTags
    samples: Int64s
    labels: Int64s
    sets: list[str]  # texts of synset sets


def match_tags(tags: pa.ChunkedArray, union: pa.Table | None, rules: MatchRules, split: str = "train") -> MatchedTags:
    """Matches the tags of samples, a list each, and counts them; `union` has the tags of their duplicates."""
    # [m] pairs of a sample and a tag; a tag is an index into `words`, W distinct spellings.
    samples, tag_of_pair, words = distinct_pairs(tags, union)
    match = _cached_match(rules)
    matches = [match(word) for word in words]
    tokens = _Numbers()
    token_of_word = np.array([tokens[token] if labels else -1 for token, labels in matches], np.int64)  # [W]
    matched = token_of_word[tag_of_pair] >= 0 if len(words) else np.zeros(0, np.bool_)  # [m]
    result = CountedTags(split, {}, {}, {}, tags=len(samples), tags_matched=int(matched.sum()))
    without_label = np.bincount(tag_of_pair[~matched], minlength=len(words))  # [W] samples
    result.dropped = _commonest(matches, without_label)
    result.unmatched = _commonest_spellings(words, without_label)
    # [k] distinct pairs of a sample and a token: spellings of one token in one sample count once.
    sample_of, token_of = _distinct(samples[matched], token_of_word[tag_of_pair[matched]], len(tokens))
    result.tokens = dict(zip(tokens, np.bincount(token_of, minlength=len(tokens)).tolist(), strict=True))
    result.labels_of = {token: labels for token, labels in matches if labels}
    sets = _Numbers()
    labels_of_token = [[sets[label] for label in result.labels_of[token]] for token in tokens]
    sample_of, label_of = _expanded(sample_of, token_of, labels_of_token, len(sets))
    result.labels = dict(zip(sets, np.bincount(label_of, minlength=len(sets)).tolist(), strict=True))
    return MatchedTags(result, sample_of, label_of, list(sets))


def _expanded(
    samples: Int64s, tokens: Int64s, labels_of: Sequence[Sequence[int]], num_labels: int
) -> tuple[Int64s, Int64s]:
    """Returns the distinct pairs (sample, label) [P] of the pairs (sample, token) [k], where a token has several labels."""
    lengths = np.array([len(labels) for labels in labels_of], np.int64)  # [T] labels of each token
    flat = np.array([label for labels in labels_of for label in labels], np.int64)  # all lists, one after another
    starts = np.cumsum(lengths) - lengths  # [T] where each token's list begins in `flat`
    repeats = lengths[tokens]  # [k] rows that each pair becomes, their sum is r
    ends = np.cumsum(repeats)
    within = np.arange(repeats.sum()) - np.repeat(ends - repeats, repeats)  # [r] 0, 1, ... inside each pair's rows
    labels = flat[np.repeat(starts[tokens], repeats) + within]  # [r]
    return _distinct(np.repeat(samples, repeats), labels, num_labels)


def distinct_pairs(tags: pa.ChunkedArray, union: pa.Table | None) -> tuple[Int64s, Int64s, list[str]]:
    """Returns the distinct pairs of sample and tag, by sample: ordinals [m], tag indexes [m], and the W tags as written."""
    lists = tags.combine_chunks()
    owner, flat = pc.list_parent_indices(lists).to_numpy(), pc.list_flatten(lists)
    base = len(flat)
    if union is not None:
        owner = np.concatenate([owner, union["ordinal"].to_numpy()])
        flat = pa.concat_arrays([flat, union["tag"].combine_chunks()])
    coded = flat.dictionary_encode()
    numbers = coded.indices.fill_null(-1).to_numpy().astype(np.int64)
    words: list[str] = coded.dictionary.to_pylist()
    there = numbers >= 0
    pairs = owner.astype(np.int64) * len(words) + numbers
    found, copies = _unique(pairs[:base][there[:base]]), None
    if union is not None:
        both = np.concatenate([found, pairs[base:]])
        weights = np.concatenate([np.ones(len(found), np.int64), union["copies"].to_numpy()])
        found, inverse = np.unique(both, return_inverse=True)
        copies = np.bincount(inverse, weights, len(found)).astype(np.int64)
    samples, tag = np.divmod(found, max(1, len(words)))
    stays = _within_limit(samples, tag, copies, words)
    return samples[stays], tag[stays], words


def _within_limit(samples: Int64s, tag: Int64s, copies: Int64s | None, words: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Returns which pairs [m] are kept where a sample has more than MAX_TAGS tags."""
    stays = np.ones(len(samples), np.bool_)
    counts = np.bincount(samples) if len(samples) else np.zeros(0, np.int64)
    for sample in np.flatnonzero(counts > MAX_TAGS).tolist():
        first, last = np.searchsorted(samples, [sample, sample + 1]).tolist()
        texts = [words[number] for number in tag[first:last].tolist()]
        rows = copies[first:last].tolist() if copies is not None else [1] * len(texts)
        order = sorted(range(len(texts)), key=lambda place: (-rows[place], texts[place]))
        stays[first + np.array(order[MAX_TAGS:])] = False
    return stays


class _Numbers(dict[str, int]):
    """Numbers texts in the order in which they are first looked up."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number


def _distinct(samples: Int64s, numbers: Int64s, count: int) -> tuple[Int64s, Int64s]:
    """Returns the distinct pairs (sample, number) [k], sorted by both; numbers are below `count`."""
    found: Any = np.divmod(_unique(samples * max(1, count) + numbers), max(1, count))
    return found[0], found[1]


def _unique(values: Int64s) -> Int64s:
    """Returns the sorted distinct values; several times as fast as np.unique, which hashes."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def _commonest_spellings(words: Sequence[str], counts: Int64s) -> dict[str, int]:
    """Returns the UNMATCHED commonest tags without a label, clipped, with the samples [W] that have each."""
    found: Counter[str] = Counter()
    for number in np.argsort(-counts, kind="stable")[:MAX_UNMATCHED].tolist():
        if counts[number]:
            found[clip_tag(words[number])] += int(counts[number])
    return dict(found)


def _commonest(matches: Sequence[tuple[str, Labels]], counts: Int64s) -> dict[str, int]:
    """Returns tokens without a label with their number of samples (a lower bound), of the commonest spellings."""
    found: Counter[str] = Counter()
    for number in np.argsort(-counts, kind="stable")[: 2 * MAX_DROPPED].tolist():
        if counts[number]:
            found[matches[number][0]] += int(counts[number])
    del found[""]
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:MAX_DROPPED])


@functools.lru_cache(maxsize=1)
def _cached_match(rules: MatchRules) -> Callable[[str], tuple[str, Labels]]:
    """Returns a cached function from a tag to its token and the texts of its labels. The matcher's tables are read once."""
    matcher = TagMatcher(rules)

    @functools.lru_cache(maxsize=TAGS_CACHED)
    def match(tag: str) -> tuple[str, Labels]:
        token, labels = matcher.match(tag)
        return token, tuple(map(set_text, labels))

    return match
