"""Lists nouns that are hardly ever used as nouns: `python -m tagmill.ingest.labels.wordnet.compile_rarely FOLDER`.

FOLDER is that of `compile.py`; besides nouns its `index.verb`, `index.adj`, `index.adv`, `verb.exc` and `cntlist.rev` are
read. The last one counts each sense in texts that WordNet's authors tagged. `rarely_nouns.txt` is written beside this
file, a squashed form a line, with the same bytes every time. A noun of one word is listed

* if the texts have it more often as an adjective or adverb than as a noun (`red`), or more than twice as often as a verb
  (`ride`): of the four forms of a verb only two are spelt like the two of a noun. One use as a noun is added, so that a
  rare word (`paddle`: never a noun there, once a verb) is not listed by chance. A noun in -s is also the third person
  of a verb: `looks`;
* if it is the plural of another noun that the texts have more often: `hands`, which by itself means custody;
* if it is the -ing form of a verb and its commonest sense as a noun is no thing (THINGS): `swimming`, and not
  `painting`. The texts cannot decide that, since they count all forms of a verb together.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.synsets import LEXFILES, WordNet
from tagmill.ingest.labels.wordnet.rarely import RARELY_FILE
from tagmill.shards.errors import TagmillError

THINGS = frozenset(
    LEXFILES[name]
    for name in (
        *("animal", "artifact", "body", "event", "food", "group", "object", "person", "phenomenon", "plant"),
        *("substance", "time"),
    )
)
_NOUN, _VERB, _OTHERS = "n", "v", "ar"
_KINDS = {"1": _NOUN, "2": _VERB, "3": "a", "4": "r", "5": "a"}  # of cntlist.rev; 5 is a satellite adjective
_FILES = {_NOUN: "index.noun", _VERB: "index.verb", "a": "index.adj", "r": "index.adv"}
_SOURCE = "give the dict folder of WordNet 3.0, as Debian's package wordnet-base has it in /usr/share/wordnet"

Uses = Mapping[tuple[str, str], int]  # (lemma, part of speech) -> times in the texts


def compile_rarely(folder: Path, wordnet: WordNet) -> list[str]:
    """Returns the listed forms in order. Raises TagmillError if the folder has other nouns than the table."""
    uses = _uses(folder)
    nouns = [lemma for lemma, kind in uses if kind == _NOUN]
    if {*map(clean, nouns)} != wordnet.forms:
        raise TagmillError("not the nouns of the shipped table", folder / _FILES[_NOUN], _SOURCE)
    participles = dict(_pairs(folder / "verb.exc"))
    listed = set[str]()
    for noun in nouns:
        if "_" in noun or "-" in noun:
            continue
        participle = _is_participle(noun, uses, participles) and not _is_thing(noun, wordnet)
        if participle or _seldom(noun, uses) or _is_plural(noun, uses):
            listed.add(clean(noun))
    return sorted(listed)


def _seldom(noun: str, uses: Uses) -> bool:
    """Returns whether a noun is used more often as something else."""
    words = {noun, *_stems(noun)}
    as_noun = 1 + sum(uses.get((word, _NOUN), 0) for word in words)
    as_verb = sum(uses.get((word, _VERB), 0) for word in words)
    return max(as_verb / 2, *(uses.get((noun, kind), 0) for kind in _OTHERS)) > as_noun


def _is_plural(noun: str, uses: Uses) -> bool:
    return any(uses.get((stem, _NOUN), 0) > uses[noun, _NOUN] for stem in _stems(noun))


def _stems(word: str) -> set[str]:
    """Returns what a plural or third person in -s may come from."""
    if not word.endswith("s") or word.endswith("ss"):
        return set()
    short = {word.removesuffix("es")} if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")) else set[str]()
    return {word[:-1], *short, *([f"{word[:-3]}y"] if word.endswith("ies") else [])}


def _is_participle(noun: str, uses: Uses, exceptions: Mapping[str, str]) -> bool:
    """Returns whether a word is the -ing form of a verb, by the endings of WordNet's morphy(7)."""
    stem = noun.removesuffix("ing")
    return stem != noun and (noun in exceptions or (stem, _VERB) in uses or (f"{stem}e", _VERB) in uses)


def _is_thing(noun: str, wordnet: WordNet) -> bool:
    senses = wordnet.senses(clean(noun), instances=True, short=True)
    return wordnet.lexfile(senses[0]) in THINGS


def _uses(folder: Path) -> Uses:
    times: Counter[tuple[str, str]] = Counter()
    for number, line in enumerate(_lines(folder / "cntlist.rev"), 1):
        try:
            key, _, count = line.split()
            lemma, _, rest = key.partition("%")
            times[lemma, _KINDS[rest[:1]]] += int(count)
        except (ValueError, KeyError) as error:
            raise TagmillError("not a line of cntlist.rev", f"{folder}, line {number}", _SOURCE) from error
    return {(lemma, kind): times[lemma, kind] for kind, name in _FILES.items() for lemma in _index(folder / name)}


def _index(path: Path) -> Iterator[str]:
    """Yields the lemmas of an index file, whose licence notice is indented."""
    for line in _lines(path):
        if not line.startswith("  "):
            yield line.partition(" ")[0]


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    for line in _lines(path):
        form, *lemmas = line.split()
        yield form, lemmas[0] if lemmas else ""


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise TagmillError(f"cannot read the file: {error}", path, _SOURCE) from error


def main(arguments: list[str], into: Path = Path(__file__).parent, wordnet: WordNet | None = None) -> int:
    """Writes the list into the folder, or prints in one line why it cannot. Returns an exit status."""
    if len(arguments) != 1:
        sys.stderr.write(f"usage: python -m tagmill.ingest.labels.wordnet.compile_rarely FOLDER ({_SOURCE})\n")
        return 2
    try:
        listed = compile_rarely(Path(arguments[0]), wordnet or WordNet.load())
        (into / RARELY_FILE).write_text("".join(f"{form}\n" for form in listed), encoding="ascii")
    except (TagmillError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
