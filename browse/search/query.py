"""A question that a person asks of a corpus, and the search that answers it."""

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from tagmill.browse.search.label_index import Listed, lookup
from tagmill.browse.search.matchers import AnySample, FromHost, Matcher, WithKey, WithLabel, WithTag, host_in
from tagmill.browse.search.snapshot import Snapshot
from tagmill.ingest import Under, WordNet, clean, labels_under, synset_of
from tagmill.shards.errors import ConfigError, IntegrityError
from tagmill.shards.vocabulary import Label, Vocabulary

By = Literal["label", "synset", "tag", "host", "key", "id", "all"]
MAX_TEXT = 500  # characters of a question
LABELS_OFFERED = 8  # in an error, where several fit

_KEY = re.compile(r"(?:[0-9a-f]{2}){4,16}")


@dataclass(frozen=True)
class Search:
    """A search that is ready to run."""

    title: str  # what is searched for
    matcher: Matcher
    labels: list[Label] = field(default_factory=list)  # that answer it, for labels and synsets
    listed: Listed | None = None  # what the view's index says of them
    warning: str = ""  # why the index is not used


def prepare(snapshot: Snapshot, by: str, text: str, view: str) -> Search:
    """Returns the search for a question. Raises ConfigError for one that nothing can answer, with what to ask instead, and
    CorpusError if the view cannot be read."""
    text = text.strip()
    if len(text) > MAX_TEXT:
        raise ConfigError(f"a question of {len(text):,} characters", "search", f"give at most {MAX_TEXT}")
    if by not in get_args(By):
        raise ConfigError(f"no search by {by[:40]!r}", "search", f"give one of {', '.join(get_args(By))}")
    if by == "all":
        return Search("all samples", AnySample(view if view in snapshot.corpus.file.views else None))
    if not text:
        raise ConfigError("an empty question", "search", f"give a {'number' if by == 'id' else by}")
    if by == "tag":
        return _by_tag(text)
    if by == "host":
        return _by_host(text)
    if by == "key":
        return _by_key(text)
    vocabulary = snapshot.vocabulary(view)
    if by == "synset":
        wordnet = WordNet.load()
        synset = synset_of(wordnet, text)
        under = labels_under(vocabulary, synset, wordnet)
        title = f"samples below {synset} ({', '.join(wordnet.lemmas(synset)[:4])})"
        return _by_labels(snapshot, view, title, _labels(under, synset))
    label = label_by_id(vocabulary, text) if by == "id" else label_named(vocabulary, text)
    return _by_labels(snapshot, view, f"samples with label {label.name}", [label])


def label_by_id(vocabulary: Vocabulary, text: str) -> Label:
    """Returns the label with an id. Raises ConfigError if there is none."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) >= len(vocabulary):
        raise ConfigError(f"no label {text[:40]!r}", "search", f"ids are 0 to {len(vocabulary) - 1}")
    return vocabulary.labels[int(text)]


def label_named(vocabulary: Vocabulary, text: str) -> Label:
    """Returns the label that a name, token, word or synset means; of these the first that fits exactly one label. Raises
    ConfigError if none or several do."""
    word, token = text.strip().lower().replace(" ", "_"), clean(text)
    groups = [
        [label for label in vocabulary.labels if label.name == text.strip()],
        [label for label in vocabulary.labels if label.synsets == (text.strip(),)],
        [label for label in vocabulary.labels if token and token in label.tokens],
        [label for label in vocabulary.labels if word in (lemma.lower() for lemma in label.lemmas)],
        [label for label in vocabulary.labels if text.strip() in label.synsets],
    ]
    for group in groups:
        if len(group) == 1:
            return group[0]
        if group:
            names = ", ".join(label.name[:60] for label in group[:LABELS_OFFERED])
            raise ConfigError(f"{len(group)} labels fit {text[:60]!r}", "search", f"give the name of one: {names}")
    like = [label.name[:60] for label in vocabulary.labels if token and token in clean(label.name[:200])]
    hint = f"similar: {', '.join(like[:LABELS_OFFERED])}" if like else "see the list of labels"
    raise ConfigError(f"no label {text[:60]!r} in the view", "search", hint)


def _by_labels(snapshot: Snapshot, view: str, title: str, labels: list[Label]) -> Search:
    ids, warning, listed = tuple(label.id for label in labels), "", None
    try:
        listed = lookup(snapshot, view, ids)
    except IntegrityError as error:
        warning = str(error)
    return Search(title, WithLabel(view, ids), labels, listed, warning)


def _labels(under: list[Under], synset: str) -> list[Label]:
    if not under:
        raise ConfigError(f"no label of the view is below {synset}", "search", "try a synset above it, or another view")
    return [each.label for each in under]


def _by_tag(text: str) -> Search:
    token = clean(text)
    if not token:
        raise ConfigError(f"{text[:40]!r} has no letters or digits", "search", "give a tag such as brownbear")
    return Search(f"samples with tag {token}", WithTag(token))


def _by_host(text: str) -> Search:
    host = host_in(text if "://" in text else f"http://{text}")
    if not host:
        raise ConfigError(f"{text[:40]!r} is no host", "search", "give a name such as example.org")
    return Search(f"samples from host {host}", FromHost(host))


def _by_key(text: str) -> Search:
    if not _KEY.fullmatch(text.lower()):
        remedy = "give the 32 hex digits of a key, or the first 8 or more of them, an even number"
        raise ConfigError(f"{text[:40]!r} is no key", "search", remedy)
    return Search(f"samples with key {text.lower()}", WithKey(text.lower()))
