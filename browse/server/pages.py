"""The pages: home, labels, search results, a synset and a sample."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tagmill.browse.search.cursor import Cursor
from tagmill.browse.search.matchers import host_in
from tagmill.browse.search.query import MAX_TEXT, Search, prepare
from tagmill.browse.search.sample_facts import OneSample, fact_lines, read_facts
from tagmill.browse.search.scan import scan
from tagmill.browse.server.home_facts import home_facts
from tagmill.browse.server.site import Site, number_in, view_of
from tagmill.ingest import WordNet, clean, labels_under
from tagmill.shards.errors import ConfigError
from tagmill.shards.vocabulary import Label, Vocabulary

GRID = 48  # samples of a page
LABELS = 100  # labels of a page
TAGS = 200  # tags of a sample that are links
HYPONYMS = 500  # synsets below another on its page


@dataclass(frozen=True)
class Pages:
    """Answers requests for pages of one site."""

    site: Site

    def home(self, request: Request) -> Response:
        """Answers `/`."""
        snapshot = self.site.watch.now()
        return self.site.page("home", snapshot, {"home": home_facts(snapshot)})

    def labels(self, request: Request) -> Response:
        """Answers `/labels`: the labels of a view, the most frequent first, of `q` those that contain it."""
        snapshot = self.site.watch.now()
        view, words = view_of(request, snapshot), request.query_params.get("q", "")[:MAX_TEXT]
        offset = number_in(request.query_params.get("from", ""))
        found = labels_like(snapshot.vocabulary(view), words)
        values = {
            "view": view,
            "words": words,
            "labels": found[offset : offset + LABELS],
            "total": len(found),
            "offset": offset,
            "after": offset + LABELS if offset + LABELS < len(found) else 0,
            "before": max(0, offset - LABELS),
        }
        return self.site.page("labels", snapshot, values)

    def find(self, request: Request) -> Response:
        """Answers `/find`: a grid of samples, and a link to where the search goes on."""
        snapshot, asked = self.site.watch.now(), request.query_params
        by, text, view = asked.get("by", "all"), asked.get("q", ""), view_of(request, snapshot)
        search = prepare(snapshot, by, text, view)
        listed = search.listed
        found = scan(
            snapshot,
            search.matcher,
            Cursor.parse(asked.get("from", "")),
            GRID,
            among=listed.shards if listed else (),
            among_until=listed.until if listed else 0,
            clock=self.site.clock,
        )
        values = {
            "by": by,
            "q": text,
            "view": view,
            "search": search,
            "found": found,
            "exact": exact_counts(search),
            "full": len(found.hits) == GRID,
            "begin": not asked.get("from", ""),
        }
        return self.site.page("find", snapshot, values)

    def synset(self, request: Request) -> Response:
        """Answers `/synset/n02084071`: its words, its neighbours in WordNet, and the labels below it."""
        snapshot, wordnet = self.site.watch.now(), WordNet.load()
        synset, view = request.path_params["synset"], view_of(request, snapshot)
        below = wordnet.hyponyms(synset)
        values = {
            "view": view,
            "synset": synset,
            "lemmas": wordnet.lemmas(synset),
            "above": [(each, wordnet.lemmas(each)) for each in wordnet.hypernyms(synset)],
            "below": [(each, wordnet.lemmas(each)) for each in below[:HYPONYMS]],
            "num_below": len(below),
            "under": sorted(
                labels_under(snapshot.vocabulary(view), synset, wordnet), key=lambda each: -each.label.images
            )[:HYPONYMS],
        }
        return self.site.page("synset", snapshot, values)

    def sample(self, request: Request) -> Response:
        """Answers `/sample/SHARD/ORDINAL`: all facts of a sample, and its image."""
        snapshot = self.site.watch.now()
        ordinal = number_in(request.path_params["ordinal"])
        shard = snapshot.shard_number(request.path_params["shard"])
        sample = read_facts(snapshot, shard, ordinal)
        last = snapshot.corpus.entry(shard).samples - 1
        values = {
            "sample": sample,
            "lines": [line for line in fact_lines(sample) if line[0] not in ("tags", "key")],
            "tags": tags_of(sample),
            "host": host_of(sample),
            "neighbours": [
                (name, each) for name, each in (("previous", ordinal - 1), ("next", ordinal + 1)) if 0 <= each <= last
            ],
        }
        return self.site.page("sample", snapshot, values)


def labels_like(vocabulary: Vocabulary, words: str) -> list[Label]:
    """Returns the labels whose name, words, tokens or synsets contain a text, the most frequent first; all for no text."""
    token = clean(words)
    if words.strip() and not token:
        raise ConfigError("a text without letters or digits", "labels", "give a part of a word")
    found = [label for label in vocabulary.labels if not token or _is_like(label, token)]
    return sorted(found, key=lambda label: (-label.images, label.id))


def _is_like(label: Label, token: str) -> bool:
    if token in clean(label.name[:MAX_TEXT]) or any(token in each for each in label.synsets):
        return True
    return any(token in each for each in label.tokens) or any(token in clean(lemma) for lemma in label.lemmas)


def exact_counts(search: Search) -> str:
    """Returns what an index says of the labels of a search; empty without one."""
    listed = search.listed
    if listed is None or not search.labels:
        return ""
    if len(search.labels) == 1:
        number = search.labels[0].id
        return (
            f"{listed.in_samples[number]:,} samples in {listed.in_shards[number]:,} shards, by the view's search index"
        )
    most = sum(listed.in_samples.values())
    least = max(listed.in_samples.values())
    shown = f"{most:,} samples" if most == least else f"{least:,} to {most:,} samples"
    shards = f" in {len(listed.shards):,} shards" if listed.complete else ""
    return f"{shown}{shards}, by the view's search index"


def tags_of(sample: OneSample) -> list[str]:
    """Returns the tags of a sample that its page lists."""
    tags = sample.facts.get("tags", [])
    return [str(tag) for tag in tags[:TAGS]] if isinstance(tags, list) else [str(tags)]


def host_of(sample: OneSample) -> str:
    """Returns the host of a sample's URL; empty where it has none."""
    url = sample.facts.get("url")
    return host_in(url) if isinstance(url, str) else ""
