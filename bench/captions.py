"""Measures labels from captions: which nouns are found, and how fast.

python bench/captions.py [--wordnet FOLDER] [--errors N] [--rounds N] [--quick] [--out FILE.json]

Captions are 300 texts in the manner of web alt texts with the nouns that a careful reader expects, written before the
matcher was. Precision is the share of found labels that are expected, recall the share of expected labels that are
found, for each rule of labels; an expected noun that WordNet lacks is missed. Beside it: the same without the list of
rare nouns, and each word of a caption read as a tag.

With the dict folder of WordNet 3.0 (Debian's package wordnet-base has it in /usr/share/wordnet) also its example
sentences of noun senses: whether the sense is among those of a found noun (`merge`), and whether it is the first one.
"""

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tagmill.bench import measure
from tagmill.ingest.labels.caption_nouns import CaptionNouns
from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.synsets import SenseRule, WordNet, labels_from

CAPTIONS = measure.ROOT / "tests" / "ingest" / "labels" / "captions.tsv"
RULES: tuple[SenseRule, ...] = ("merge", "first", "all")
OURS, ALL_NOUNS, EACH_WORD = "nouns", "without the list of rare nouns", "each word as a tag"
TIMED = 10_000  # captions of a round
Finder = Callable[[str], Sequence[str]]


class Caption(NamedTuple):
    """A caption with its expected nouns."""

    kind: str
    text: str
    nouns: tuple[str, ...]


class Score(NamedTuple):
    """Labels of all captions, with the words of those in error."""

    right: int
    found: int
    expected: int
    missed: Counter[str]
    wrong: Counter[str]

    @property
    def precision(self) -> float:
        return self.right / max(1, self.found)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.expected)


def captions(path: Path = CAPTIONS) -> list[Caption]:
    """Returns the written captions."""
    _, *rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [Caption(kind, text, tuple(nouns.split("; "))) for kind, text, nouns in rows]


def score(some: Sequence[Caption], find: Finder, rule: SenseRule) -> Score:
    """Compares labels of found and of expected nouns; a label counts once a caption."""
    right = found = expected = 0
    missed, wrong = Counter[str](), Counter[str]()
    for caption in some:
        wanted = _labels(caption.nouns, rule, keep=True)
        got = _labels(find(caption.text), rule, keep=False)
        right += len(wanted.keys() & got.keys())
        found, expected = found + len(got), expected + len(wanted)
        missed.update(word for label, word in wanted.items() if label not in got)
        wrong.update(word for label, word in got.items() if label not in wanted)
    return Score(right, found, expected, missed, wrong)


def _labels(nouns: Sequence[str], rule: SenseRule, keep: bool) -> dict[tuple[str, ...], str]:
    """Returns labels with the noun that leads to each. `keep`: nouns without one are kept as they are."""
    found: dict[tuple[str, ...], str] = {}
    for noun in nouns:
        labels = labels_from(WordNet.load().senses(clean(noun)), rule)
        for label in labels or ([("no label", noun)] if keep else []):
            found.setdefault(label, noun)
    return found


def each_word(text: str) -> list[str]:
    """Returns all words of a text."""
    return re.findall(r"\w+", text)


def examples(folder: Path) -> Iterator[tuple[str, str]]:
    """Yields (synset, sentence) of WordNet's noun senses: what is in quotes in their glosses."""
    for line in (folder / "data.noun").read_text(encoding="ascii").splitlines():
        if not line.startswith("  "):
            for sentence in re.findall(r'"([^"]+)"', line.partition(" | ")[2]):
                yield f"n{line[:8]}", sentence


def meant(some: Sequence[tuple[str, str]], find: Finder) -> tuple[int, int, Counter[str]]:
    """Returns in how many sentences the sense is any of a found noun, and the first of one; and lemmas that are missed."""
    wordnet = WordNet.load()
    found = first = 0
    missed = Counter[str]()
    for synset, sentence in some:
        senses = [wordnet.senses(clean(noun), instances=True, short=True) for noun in find(sentence)]
        if any(synset in each for each in senses):
            found += 1
            first += any(synset == each[0] for each in senses)
        else:
            missed[wordnet.lemmas(synset)[0]] += 1
    return found, first, missed


def rate(find: Finder, texts: Sequence[str], count: int) -> float:
    """Returns captions a second of processor time."""
    start = time.process_time()
    for number in range(count):
        find(texts[number % len(texts)])
    return count / (time.process_time() - start)


def main() -> None:
    parser = measure.arguments("Measure labels from captions: precision, recall and speed.")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="dict folder of WordNet 3.0")
    parser.add_argument("--errors", type=int, default=25, help="commonest errors to print")
    options = parser.parse_args()
    written = captions()
    ours = CaptionNouns.load()
    finders: dict[str, Finder] = {
        OURS: ours.find,
        ALL_NOUNS: CaptionNouns(WordNet.load(), frozenset()).find,
        EACH_WORD: each_word,
    }
    cases: dict[str, dict[str, object]] = {}
    for name, find in finders.items():
        for rule in RULES if name == OURS else RULES[:1]:
            cases[f"{name}, {rule}"] = _shown(f"{name}, {rule}", score(written, find, rule))
    for kind in dict.fromkeys(caption.kind for caption in written):
        some = [caption for caption in written if caption.kind == kind]
        cases[f"{OURS}, merge, {kind}"] = _shown(f"{OURS}, merge, {kind}", score(some, ours.find, "merge"))
    errors = score(written, ours.find, "merge")
    for title, words in (("missed", errors.missed), ("not expected", errors.wrong)):
        print(f"{title}: {_commonest(words, options.errors)}")
    cases[f"{OURS}, merge"] |= {"missed": _all(errors.missed), "not expected": _all(errors.wrong)}
    if (options.wordnet / "data.noun").exists():
        cases |= _of_examples(options.wordnet, ours.find, 500 if options.quick else None, options.errors)
    else:
        print(f"no example sentences: {options.wordnet} is no dict folder of WordNet", file=sys.stderr)
    texts, count = [caption.text for caption in written], 300 if options.quick else TIMED
    timed = {name: _timing(find, texts, count) for name, find in finders.items() if name != ALL_NOUNS}
    runs = measure.alternate(timed, 2 if options.quick else options.rounds)
    measure.conclude("captions", "captions/s", runs, OURS, options.out, cases)


def _timing(find: Finder, texts: Sequence[str], count: int) -> Callable[[], float]:
    return lambda: rate(find, texts, count)


def _shown(name: str, found: Score) -> dict[str, object]:
    print(f"{name:44} precision {found.precision:6.1%}   recall {found.recall:6.1%}")
    counts = {"right": found.right, "found": found.found, "expected": found.expected}
    return {"unit": "labels", "precision": found.precision, "recall": found.recall, **counts}


def _of_examples(folder: Path, find: Finder, limit: int | None, errors: int) -> dict[str, dict[str, object]]:
    some = list(examples(folder))[:limit]
    found, first, missed = meant(some, find)
    print(f"{len(some):,} example sentences: the sense is one of a found noun's in {found / len(some):.1%}")
    print(f"it is the first of a found noun in {first / len(some):.1%}, of those found {first / max(1, found):.1%}")
    print(f"missed: {_commonest(missed, errors)}")
    return {
        "example sentences, merge": {"unit": "senses", "recall": found / len(some), "sentences": len(some)},
        "example sentences, first": {
            "unit": "senses",
            "precision": first / max(1, found),
            "recall": first / len(some),
            "sentences": len(some),
        },
    }


def _commonest(words: Counter[str], count: int) -> str:
    return ", ".join(f"{word} {times}" for word, times in words.most_common(count))


def _all(words: Counter[str]) -> dict[str, int]:
    return dict(sorted(words.items(), key=lambda item: (-item[1], item[0])))


if __name__ == "__main__":
    main()
