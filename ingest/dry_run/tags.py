"""Which labels the tags of a part of the rows lead to."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dry_run.before_fetch import BeforeFetch
from tagmill.ingest.labels.coverage import UNMATCHED_REPORTED, FewLabels, few_labels, find_joined_tags
from tagmill.ingest.labels.matching import TagMatcher
from tagmill.ingest.labels.synsets import WordNet
from tagmill.ingest.labels.vocabulary_rules import VocabularyCounts, choose
from tagmill.ingest.parts.first_look import reading_of
from tagmill.ingest.reasons import commonest
from tagmill.ingest.report import TOP_LABELS
from tagmill.ingest.sources.samples import folder_of
from tagmill.ingest.views.build import CorpusCounts, Labelled, no_label
from tagmill.ingest.views.count import match_tags
from tagmill.ingest.views.recipe import ViewRules
from tagmill.shards.manifest import Named


@dataclass(frozen=True)
class ExpectedLabel:
    """A label, and the images that would have it."""

    name: str
    images: int  # of the whole input, if every URL gives an image


@dataclass(frozen=True)
class TagFindings:
    """What the tags of the rows that were read lead to."""

    rows: int  # whose URLs would be requested, each once, with the tags of its repetitions
    tags_a_row: float
    tags: int  # different ones of a row
    tags_matched: int  # that lead to a label
    labels: int  # of the vocabulary, at least: rows that were not read have more
    unlabelled: int  # of `rows`, those without a label
    top: tuple[ExpectedLabel, ...]
    unmatched: tuple[tuple[str, int], ...]  # the commonest tags without a label
    few: FewLabels | None  # the likely cause, where hardly any tag leads to a label
    joined: str | None  # a warning, where many tags look like several in one


def expected_labels(found: BeforeFetch, config: IngestConfig, rules: ViewRules, scale: float) -> TagFindings:
    """Matches the tags of the requests as the view `default` does; `scale` is rows of the input by rows read.

    Counts of labels are scaled before --min-count and --top-k cut them.
    """
    tags = [request.tags for request in found.requests]
    matched = match_tags(pa.chunked_array([pa.array(tags, pa.list_(pa.string()))]), None, rules.match)
    counts, counted, matcher = matched.counts, CorpusCounts(), TagMatcher(rules.match)
    counted.add(counts)
    scaled = {text: max(1, round(images * scale)) for text, images in counted.images.items()}
    vocabulary, left = choose(
        VocabularyCounts(scaled, counted.tokens), rules.vocabulary, rules.match.rule, WordNet.load()
    )
    kept = {"+".join(label.synsets) for label in vocabulary.labels}
    stays = np.array([text in kept for text in matched.sets], np.bool_)
    labelled = len(np.unique(matched.samples[stays[matched.labels]])) if len(matched.labels) else 0
    unlabelled = len(tags) - labelled
    folders = Counter(filter(None, (folder_of(each.url) for each in found.requests if each.location is not None)))
    few = None
    if tags:
        few = few_labels(
            *(counts.tags, counts.tags_matched, counts.unmatched, matcher, reading_of(config), folders)
        ) or no_label(
            Labelled(Named("", ""), vocabulary, counts.tags, counts.tags_matched, unlabelled),
            *(len(tags), left, rules.vocabulary),
        )
    top = sorted(vocabulary.labels, key=lambda label: (-label.images, label.id))[:TOP_LABELS]
    return TagFindings(
        rows=len(tags),
        tags_a_row=sum(map(len, tags)) / max(1, len(tags)),
        tags=counts.tags,
        tags_matched=counts.tags_matched,
        labels=sum(label.images > 0 for label in vocabulary.labels),
        unlabelled=unlabelled,
        top=tuple(ExpectedLabel(label.name, label.images) for label in top if label.images),
        unmatched=tuple(commonest(counts.unmatched, UNMATCHED_REPORTED).items()),
        few=few,
        joined=None if few else find_joined_tags(counts.tags, counts.unmatched, matcher),
    )
