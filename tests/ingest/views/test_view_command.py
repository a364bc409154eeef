"""`tagmill corpus view`: adds a second labelling from tables alone, and refuses invalid options."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tagmill import cli
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import ONE, View, extra_offset
from tests.ingest.tagged import Tagged, make

TAGS = [["brownbear", "paris"], ["#jaguar"], ["sunsetbeach"], ["cat", "dog"], ["nothing at all"]]


@pytest.fixture
def made(tmp_path: Path) -> Tagged:
    return make(tmp_path, [TAGS * 4, TAGS * 3], [TAGS], [(0, ["cat"])])


def test_views_coexist(made: Tagged, capsys: pytest.CaptureFixture[str]) -> None:
    url = made.corpus.store.url
    for path in (Path(url) / "shards").glob("*.tar"):
        path.unlink()  # a view is made from tables: no picture is read
    cli.main(["corpus", "view", url, "natural", "--processes", "1"])
    words = ["--resample", "sqrt", "--epoch-samples", "60", "--noise", "0.2", "--subset", "0.9", "--seed", "4"]
    capsys.readouterr()
    cli.main(["corpus", "view", url, "noisy", *words, "--processes", "2", "--json"])
    told = json.loads(capsys.readouterr().out)
    corpus = Corpus.open(url)
    assert set(corpus.file.views) == {"natural", "noisy"}
    natural, noisy = (View.open(corpus, name) for name in ("natural", "noisy"))
    assert told["labels"] == len(noisy.vocabulary) == len(natural.vocabulary) and told["labels_replaced"] > 0
    assert noisy.file.recipe["noise"] == 0.2 and noisy.file.recipe["resample"] == "sqrt"
    cli.main(["corpus", "vocabulary", url, "--view", "noisy"])
    assert "brown_bear" in capsys.readouterr().out


def test_a_cap_thins_out_the_labels_with_more_images_than_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = make(tmp_path, [[["cat"]] * 40, [["dog"]] * 7 + [["cat", "jaguar"]]], [[["cat"]]]).corpus.store.url
    cli.main(["corpus", "view", url, "v", "--resample", "cap", "--cap-at", "10", "--processes", "1", "--json"])
    found = json.loads(capsys.readouterr().out)
    corpus = Corpus.open(url)
    made, whole = (
        View.open(corpus, "v"),
        8,
    )  # 41 cats: their share is 10 / 41, but the one that is a jaguar too is whole
    assert found["t"] == 10 and found["capped"] and found["epoch_samples"] == whole + 40 * (10 * ONE // 41) // ONE
    assert [line.counts for line in made.shards] == [
        [],
        [8],
        [1],
    ]  # whole copies; a held-out sample is never thinned out
    shown = Counter[int]()
    for epoch in range(82):
        before = extra_offset(made.file.seed, epoch)
        stop = (before + made.shard(0).fraction_sum) // ONE - before // ONE
        assert stop in (9, 10)
        shown.update(made.extras(0, before, 0, stop).tolist())
    assert set(shown) == set(range(40)) and all(18 <= times <= 21 for times in shown.values())
    cli.main(["corpus", "view", url, "v", "--resample", "cap", "--epoch-samples", "18", "--processes", "1"])
    assert "above which they are shown less than once an epoch" in " ".join(capsys.readouterr().out.split())
    assert json.loads(made.store.read("view.json"))["recipe"]["cap_at"] == 10


def test_the_same_config_gives_the_same_view_and_another_corpus_refuses_it(made: Tagged, tmp_path: Path) -> None:
    url = made.corpus.store.url
    first = view(ViewConfig(corpus=url, name="v", processes=1)).view
    assert view(ViewConfig(corpus=url, name="v", processes=3)).view == first
    other = make(tmp_path / "other", [TAGS])
    shutil.copytree(f"{url}/views", f"{other.corpus.store.url}/views")
    text = json.loads(Path(f"{url}/corpus.json").read_text())
    theirs = Path(f"{other.corpus.store.url}/corpus.json")
    theirs.write_text(json.dumps({**json.loads(theirs.read_text()), "views": text["views"]}))
    with pytest.raises(CorpusError, match="made for another corpus"):
        View.open(Corpus.open(other.corpus.store.url), "v")


def test_samples_are_left_out_by_key(made: Tagged, tmp_path: Path) -> None:
    url, listed = made.corpus.store.url, tmp_path / "keys.txt"
    listed.write_text("\n".join([made.keys[0], made.keys[1], ""]))
    assert view(ViewConfig(corpus=url, name="v", exclude=str(listed), processes=1)).left_out == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "../v"}, "as the name of a view"),
        ({"name": ""}, "as the name of a view"),
        ({"noise": 2.0}, "noise = 2.0"),
        ({"subset": -1.0}, "subset = -1.0"),
        ({"vocabulary": "none"}, "no such file"),
        ({"exclude": "none.txt"}, "no such file"),
        ({"resample": "uniform", "epoch_samples": 1}, r"epoch|samples"),
        ({"resample": "uniform", "epoch_samples": 10**9}, r"epoch|samples"),
        ({"max_labels": 0}, "max_labels"),
    ],
)
def test_invalid_options_are_refused_and_nothing_is_committed(
    made: Tagged, wrong: dict[str, object], message: str
) -> None:
    url = made.corpus.store.url
    with pytest.raises(ConfigError, match=message):
        view(ViewConfig(**{"corpus": url, "name": "v", "processes": 1, **wrong}))  # type: ignore[arg-type]
    assert not Corpus.open(url).file.views


def test_entities_of_imagenet_are_kept_and_short_tokens_are_optional(tmp_path: Path) -> None:
    """`#sun` is a class of ImageNet-21k and a named entity; its label goes on into views by the vocabulary's file."""
    url = make(tmp_path, [[["sun"], ["tv"], ["ox"], ["cat"], ["paris"]]]).corpus.store.url
    names = lambda **flags: [  # noqa: E731
        label.name
        for label in view(ViewConfig(corpus=url, name="v", processes=1, **flags)).vocabulary.labels  # type: ignore[arg-type]
    ]
    in21k = names(vocabulary="in21k")
    assert sorted(in21k) == ["cat", "sun"]
    assert sorted(names(vocabulary="in21k", short_tokens=True)) == ["cat", "ox", "sun", "tv"]
    made = View.open(Corpus.open(url), "v")
    (tmp_path / "vocabulary.json").write_bytes(made.store.read("vocabulary.json"))
    found = view(ViewConfig(corpus=url, name="w", vocabulary=str(tmp_path / "vocabulary.json"), processes=1))
    assert {label.name: label.images for label in found.vocabulary.labels} == {"cat": 1, "ox": 0, "sun": 1, "tv": 0}


def test_a_view_without_labels_says_so_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = make(tmp_path, [[["cat;sofa"], ["dog;beach"]] * 9]).corpus.store.url
    cli.main(["corpus", "view", url, "v", "--processes", "1"])
    told = " ".join(capsys.readouterr().out.split())
    assert "Hardly any labels, 0.0% of 18 tags led to a label: tags such as 'cat;sofa'" in told
    assert "ingest again and give --tags-separator ';'." in told
    assert "dog;beach" in told and "Commonest tags without a label" in told
    cli.main(["corpus", "view", url, "v", "--processes", "1", "--json"])
    found = json.loads(capsys.readouterr().out)["few_labels"]
    assert found["cause"] == "separator" and found["unmatched"][0] == {
        "token": "catsofa",
        "written": "cat;sofa",
        "tags": 9,
    }
