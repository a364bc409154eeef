"""Views against a brute force in Python: tag union, vocabulary, label ids, members and repeats, shard by shard."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.matching import MatchRules
from tagmill.ingest.labels.synsets import labels_of, set_text
from tagmill.ingest.labels.vocabulary_rules import VocabularyRules
from tagmill.ingest.views import build
from tagmill.ingest.views.build import CorpusSource, Labelled, make_view
from tagmill.ingest.views.count import CountedTags
from tagmill.ingest.views.keyed_random import in_subset
from tagmill.ingest.views.label_noise import expected
from tagmill.ingest.views.recipe import Members, ViewRules
from tagmill.shards.errors import ConfigError
from tagmill.shards.lint import lint_view
from tagmill.shards.manifest import Corpus, commit
from tagmill.shards.view import ONE, View
from tests.ingest.tagged import Tagged, make

WORDS = ["#BrownBear", "ursus arctos", "bear", "bears", "cat", "Katze", "paris", "jaguar", "#sunset", "love", "", "犬"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDB]:
    engine = DuckDB(tmp_path_factory.mktemp("scratch") / "engine", memory_limit="200MB", threads=2)
    yield engine
    engine.close()


def label(
    engine: DuckDB, made: Tagged, rules: ViewRules, spool: Path, *, seed: int = 3, processes: int = 1
) -> tuple[Labelled, View]:
    spool.mkdir()
    corpus = made.corpus
    source = CorpusSource(corpus.store, corpus.file.manifest, made.entries, spool, processes)
    labelled = make_view(engine, source, "v", rules, seed=seed)
    commit(corpus.store, replace(corpus.file, views={"v": labelled.view}))
    view = View.open(Corpus.open(corpus.store.url), "v")
    lint_view(Corpus.open(corpus.store.url), "v")
    return labelled, view


def ids_of(view: View) -> list[list[int]]:
    rows = [row for shard, line in enumerate(view.shards) for row in view.labels(shard, 0, line.samples).tolist()]
    return [[number for number in row if number >= 0] for row in rows]


def copies_of(view: View) -> list[int]:
    """Whole copies of every sample."""
    found: list[int] = []
    for shard, line in enumerate(view.shards):
        runs = [view.run(shard, copy, 0, count) for copy, count in enumerate(line.counts)]
        counts = np.bincount(np.concatenate([np.zeros(0, np.int64), *runs]).astype(int), minlength=line.samples)
        found += counts.tolist()
    return found


def names_of(made: Tagged, rule: str) -> list[set[str]]:
    return [{set_text(found) for tag in union for found in labels_of(clean(tag), rule)} for union in made.unions]  # type: ignore[arg-type]


tag_lists = st.lists(st.sampled_from(WORDS), max_size=5)
shard_lists = st.lists(st.lists(tag_lists, min_size=1, max_size=4), min_size=1, max_size=3)
rule_sets = st.builds(
    ViewRules,
    st.builds(MatchRules, st.sampled_from(["merge", "first", "all"])),
    st.builds(VocabularyRules, st.just("nouns"), st.integers(1, 3), st.one_of(st.none(), st.integers(1, 4))),
    max_labels=st.integers(1, 3),
)


@settings(max_examples=50, deadline=None)
@given(
    shard_lists, st.lists(st.lists(tag_lists, min_size=1, max_size=4), max_size=2),
    st.lists(st.tuples(st.integers(0, 99), tag_lists), max_size=8), rule_sets,
)  # fmt: skip
def test_a_view_equals_the_brute_force_one(
    engine: DuckDB,
    train: list[list[list[str]]],
    holdout: list[list[list[str]]],
    yields: list[tuple[int, list[str]]],
    rules: ViewRules,
) -> None:
    total = sum(map(len, train)) + sum(map(len, holdout))
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder), train, holdout, [(number % total, tags) for number, tags in yields])
        labelled, view = label(engine, made, rules, Path(folder) / "work")
        names = names_of(made, rules.match.rule)
        counts = Counter(name for split, found in zip(made.splits, names) if split == "train" for name in found)
        cut = rules.vocabulary
        common = [(name, count) for name, count in counts.items() if count >= cut.min_count]
        vocabulary = sorted(common, key=lambda nc: (-nc[1], nc[0]))[: cut.top_k]
        assert [(set_text(label.synsets), label.images) for label in view.vocabulary.labels] == vocabulary
        ids = {name: number for number, (name, _) in enumerate(vocabulary)}
        labels = [sorted(ids[name] for name in found if name in ids)[-rules.max_labels :] for found in names]
        assert ids_of(view) == labels
        assert copies_of(view) == [int(bool(row)) for row in labels]
        assert labelled.unlabelled == sum(not row for row in labels)
        assert labelled.tags == sum(map(len, made.unions))
        assert labelled.tags_matched == sum(
            bool(labels_of(clean(tag), rules.match.rule)) for union in made.unions for tag in union
        )
        led = Counter(
            (name, clean(tag))
            for split, union in zip(made.splits, made.unions)
            if split == "train"
            for name, tag in {
                (set_text(found), clean(tag)): (set_text(found), tag)
                for tag in union
                for found in labels_of(clean(tag), rules.match.rule)
            }.values()
        )
        told = {
            (set_text(label.synsets), token): n for label in view.vocabulary.labels for token, n in label.tokens.items()
        }
        assert told == {key: count for key, count in led.items() if key[0] in ids}
        words = [min((-n, token) for token, n in label.tokens.items())[1] for label in view.vocabulary.labels]
        assert [label.name for label in view.vocabulary.labels] == [
            word if words.count(word) == 1 else f"{word} {set_text(label.synsets)}"
            for word, label in zip(words, view.vocabulary.labels, strict=True)
        ]


def test_the_vocabulary_has_tokens_and_lemmas(engine: DuckDB, tmp_path: Path) -> None:
    tags = [["#brownBear"], ["Brown Bear!", "#brownbear", "love it", "#xyzzy"], ["ursus_arctos", "brownbear", "xyzzy"]]
    _, view = label(engine, make(tmp_path, [tags]), ViewRules(), tmp_path / "work")
    (bear,) = view.vocabulary.labels
    assert bear.synsets == ("n02132136",) and bear.images == 3
    assert dict(bear.tokens) == {"brownbear": 3, "ursusarctos": 1}
    assert bear.lemmas == ("brown_bear", "bruin", "Ursus_arctos")
    dropped = {row["token"]: row for row in view.vocabulary.source["dropped_tokens"]}
    assert dropped["xyzzy"] == {"token": "xyzzy", "tags_at_least": 2, "why": "not_a_noun"}


def test_repeats_reach_the_epoch_and_spare_the_holdout(engine: DuckDB, tmp_path: Path) -> None:
    train = [[["cat"]] * 30, [["dog"]] * 10 + [["cat", "oak"]] * 2]
    made = make(tmp_path, train, [[["cat"], ["oak"], ["love it"]]])
    rules = ViewRules(members=Members("uniform", 100))
    labelled, view = label(engine, made, rules, tmp_path / "work")
    table = {next(iter(label.tokens)): label.images for label in view.vocabulary.labels}
    assert table["cat"] == 32 and labelled.t is not None and 90 <= labelled.epoch_samples <= 100
    total = sum(sum(line.counts) * ONE + line.fraction_sum for line in view.shards if line.split == "train")
    assert total // ONE == labelled.epoch_samples
    copies = copies_of(view)
    assert copies[0] < copies[30] < copies[40] and copies[-3:] == [1, 1, 0]


def test_left_out_samples_keep_their_position(engine: DuckDB, tmp_path: Path) -> None:
    made = make(tmp_path, [[["cat"]] * 40, [["dog"]] * 40])
    excluded = (made.keys[3], made.keys[50])
    rules = ViewRules(members=Members(excluded=excluded, subset=0.5))
    labelled, view = label(engine, made, rules, tmp_path / "half", seed=9)
    keys = np.frombuffer(bytes.fromhex("".join(made.keys)), np.uint8).reshape(-1, 16)
    inside = in_subset(9, keys, 0.5)
    inside[[3, 50]] = False
    assert copies_of(view) == inside.astype(int).tolist() and 10 < inside.sum() < 70
    assert labelled.left_out == int((~inside).sum()) and [len(row) for row in ids_of(view)] == [1] * 80
    taken = replace(rules, members=Members())
    (tmp_path / "taken").mkdir()
    corpus = made.corpus
    source = CorpusSource(
        corpus.store, corpus.file.manifest, made.entries, tmp_path / "taken", 1, {"000001": (2, 39)}, "a digest"
    )
    labelled = make_view(engine, source, "v", taken, seed=9)
    assert labelled.left_out == 2


def test_noise_changes_only_training_labels(engine: DuckDB, tmp_path: Path) -> None:
    made = make(tmp_path, [[["cat"], ["dog"], ["oak"]] * 40], [[["cat"]] * 30])
    clean_view, noisy_view = (
        label(engine, made, ViewRules(members=Members(noise=p)), tmp_path / f"p{p}") for p in (0.0, 0.5)
    )
    before, after = ids_of(clean_view[1]), ids_of(noisy_view[1])
    changed = [one != other for one, other in zip(before, after, strict=True)]
    assert sum(changed[:120]) == noisy_view[0].labels_replaced and 35 < noisy_view[0].labels_replaced < 85
    assert not any(changed[120:])
    with pytest.raises(ConfigError, match=r"noise 0.1 where 1 labels have images"):
        label(engine, make(tmp_path / "one", [[["cat"]]]), ViewRules(members=Members(noise=0.1)), tmp_path / "x")


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_noise_has_the_marginal_that_it_must_have(engine: DuckDB, tmp_path: Path, share: float) -> None:
    """On samples of one label each: every count within five standard deviations of its expectation, q of label_noise.py."""
    shares = 1 / np.arange(1, 9)
    words = ["cat", "dog", "oak", "tulip", "violin", "anchor", "spoon", "volcano"]
    drawn = np.random.default_rng(0).choice(8, 4000, p=shares / shares.sum())
    made = make(tmp_path, [[[words[i]] for i in part] for part in np.split(drawn, 2)])
    labelled, view = label(engine, made, ViewRules(members=Members(noise=share)), tmp_path / "work")
    images = np.array([each.images for each in view.vocabulary.labels])
    assert len(images) == 8 and images.sum() == 4000 and labelled.labels_merged == 0
    found = np.bincount([row[0] for row in ids_of(view)], minlength=8)
    wanted = expected(images, share)
    assert (np.abs(found - 4000 * wanted) < 5 * np.sqrt(4000 * wanted * (1 - wanted))).all()
    assert (np.abs(4000 * wanted - images) > 5).any(), "q is not m"


@pytest.mark.parametrize(
    "members", [Members(), Members("sqrt", 900, noise=0.3, subset=0.9), Members("uniform", 900, max_repeat=9)]
)
def test_processes_and_runs_change_no_byte(engine: DuckDB, tmp_path: Path, members: Members) -> None:
    draw = np.random.default_rng(1)
    train = [[[WORDS[i] for i in draw.integers(0, len(WORDS), 3)] for _ in range(60)] for _ in range(9)]
    made = make(tmp_path, train, [train[0]], [(int(n), ["jaguar", "cat"]) for n in draw.integers(0, 500, 30)])
    rules = ViewRules(members=members)
    found = [
        label(engine, made, rules, tmp_path / f"work{n}", processes=processes)[0].view
        for n, processes in enumerate((1, 3, 1))
    ]
    assert found[0] == found[1] == found[2], "view.json names everything by its content"


def test_a_view_without_labels_says_why(engine: DuckDB, tmp_path: Path) -> None:
    made = make(tmp_path, [[["cat;sofa"], ["dog;beach;instagood"]] * 20, [["xyzzy"], ["cat;sofa"]]])
    few = label(engine, made, ViewRules(), tmp_path / "work")[0].few_labels
    assert few is not None and few.cause == "separator" and (few.tags, few.tags_matched) == (42, 0)
    assert few.unmatched[0].written == "cat;sofa" and few.unmatched[0].tags == 21
    made = make(tmp_path / "good", [[["cat"], ["dog"], ["xyzzy"]]], [[["cat"]]])
    assert label(engine, made, ViewRules(), tmp_path / "good/work")[0].few_labels is None
    cuts = ViewRules(vocabulary=VocabularyRules(min_count=9))
    few = label(engine, made, cuts, tmp_path / "good/cut")[0].few_labels
    assert few is not None and few.cause == "vocabulary" and "--min-count" in few.remedy
    assert "2 other labels are carried, the commonest by 1 images" in few.why


def test_tags_without_labels_are_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "TAGS_EXAMINED", 10)
    counted = build.CorpusCounts()
    for shard in range(50):
        unmatched = {"common": 2} | {f"{shard}-{number}": 1 for number in range(30)}
        counted.add(CountedTags("train", {}, {}, {}, unmatched=unmatched, tags=60))
        assert len(counted.unmatched) <= 2 * 10 + 31
    assert counted.unmatched["common"] == 100


def test_a_sample_with_more_tags_than_the_limit_keeps_the_commonest(engine: DuckDB, tmp_path: Path) -> None:
    many = [f"aaa{n:05d}" for n in range(10_000)]
    made = make(tmp_path, [[[*many, "zebra"], ["zebra"]]], (), [(0, ["zebra"])])
    labelled, view = label(engine, made, ViewRules(), tmp_path / "work")
    assert labelled.tags == 1000 + 1
    assert ids_of(view) == [[0], [0]], "two rows say zebra, one row each of the others"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"noise": 1.5}, "noise = 1.5"),
        ({"noise": float("nan")}, "noise = nan"),
        ({"subset": 0.0}, "subset = 0.0"),
        ({"max_repeat": 0}, "max_repeat = 0"),
        ({"epoch_samples": 10}, "natural resampling"),
    ],
)
def test_invalid_members_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Members(**wrong)  # type: ignore[arg-type]


def test_an_excluded_key_must_be_one() -> None:
    with pytest.raises(ConfigError, match="'nonsense' is no key"):
        Members(excluded=("nonsense",)).keys()
