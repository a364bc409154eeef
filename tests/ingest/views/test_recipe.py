"""The rules of a view, read back from the view alone, make the same view, wherever its files are then."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest.labels.matching import MatchRules
from tagmill.ingest.views.recipe import Members, view_rules_of
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import View
from tagmill.shards.vocabulary import Vocabulary
from tests.ingest.tagged import Tagged, make

TAGS = [["brownbear", "paris", "mutt"], ["#jaguar", "hond"], ["sunsetbeach"], ["cat", "dog"], ["nothing at all"]]


@pytest.fixture
def made(tmp_path: Path) -> Tagged:
    return make(tmp_path, [TAGS * 2, TAGS], [TAGS], [(0, ["cat"])])


def of_words(folder: Path, made: Tagged) -> dict[str, Any]:
    """A view whose every file is there; what is left of them afterwards is nothing."""
    (folder / "aliases.csv").write_text("mutt,dog\n")
    (folder / "words").write_text("hond\tdog\n")
    (folder / "stop").write_text("cat\n")
    (folder / "keys").write_text(f"{made.keys[1]}\n{made.keys[0]}\n")
    files = {"aliases": "aliases.csv", "translations": "words", "stop": "stop", "exclude": "keys"}
    return {name: str(folder / file) for name, file in files.items()}


def of_a_file(folder: Path, made: Tagged) -> dict[str, Any]:
    (folder / "labels").write_text("n02084071+n02710044+n03901548+n07676602+n09886220+n10023039+n10114209\nn02132136\n")
    return {"vocabulary": str(folder / "labels"), "max_labels": 3}


def of_entities(folder: Path, made: Tagged) -> dict[str, Any]:
    (folder / "labels").write_text("n08932568+n09503682+n11755694+n12403994\n")
    return {"vocabulary": str(folder / "labels"), "short_tokens": True}


def of_cuts(folder: Path, made: Tagged) -> dict[str, Any]:
    cuts = {"min_count": 2, "top_k": 3, "rule": "first", "instances": True, "compounds": True, "lexfiles": ("animal",)}
    return {**cuts, "resample": "sqrt", "epoch_samples": 40, "max_repeat": 9, "noise": 0.2, "subset": 0.8, "seed": 4}


def of_a_cap(folder: Path, made: Tagged) -> dict[str, Any]:
    return {"resample": "cap", "cap_at": 3, "seed": 1}


@pytest.mark.parametrize("kind", [of_words, of_a_file, of_entities, of_cuts, of_a_cap])
def test_rules_come_back_from_the_view_alone(
    made: Tagged, tmp_path: Path, kind: Callable[[Path, Tagged], dict[str, Any]]
) -> None:
    (folder := tmp_path / "files").mkdir()
    config = ViewConfig(corpus=made.corpus.store.url, name="v", processes=1, **kind(folder, made))
    wanted = config.rules()
    view(config)
    for path in folder.iterdir():
        path.unlink()
    opened = View.open(Corpus.open(config.corpus), "v")
    rules = view_rules_of(opened, recount=True)
    assert rules.match.recipe() == wanted.match.recipe() == opened.file.recipe["match"]
    given = {name: value for name, value in rules.vocabulary.recipe().items() if name != "names"}
    assert given == opened.file.recipe["vocabulary"]
    assert rules.members.recipe() == wanted.members.recipe() and rules.max_labels == wanted.max_labels
    assert set(rules.members.excluded) == set(wanted.members.excluded)
    after = view_rules_of(opened).vocabulary
    labels = opened.vocabulary.labels
    assert list(after.earlier_labels() or after.file_labels() or ()) == [label.synsets for label in labels]
    assert after.names() == {label.synsets: label.name for label in labels}


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("aliases.csv", "file of aliases is not there"),
        ("translations.tsv", "file of translations is not there"),
        ("excluded.txt", "cannot be made again"),
    ],
)
def test_a_view_without_a_file_is_an_error_with_a_remedy(made: Tagged, tmp_path: Path, lost: str, says: str) -> None:
    url = made.corpus.store.url
    view(ViewConfig(corpus=url, name="v", processes=1, **of_words(tmp_path, made)))
    opened = View.open(Corpus.open(url), "v")
    data = opened.store.read(lost)
    opened.store.put(lost, data + b"more")
    with pytest.raises(ConfigError, match="not the file that the view was made from"):
        view_rules_of(opened)
    opened.store.delete(lost)
    with pytest.raises(ConfigError, match=says) as raised:
        view_rules_of(opened)
    assert "--drop-views" in raised.value.remedy and "\n" not in str(raised.value)


@pytest.mark.parametrize("recipe", [{}, {"match": 7, "vocabulary": {}}, {"match": {}, "vocabulary": {}}])
def test_a_recipe_of_another_kind_is_refused(made: Tagged, recipe: dict[str, Any]) -> None:
    url = made.corpus.store.url
    view(ViewConfig(corpus=url, name="v", processes=1))
    opened = View.open(Corpus.open(url), "v")
    with pytest.raises(ConfigError, match="view 'v' cannot be made again"):
        view_rules_of(replace(opened, file=replace(opened.file, recipe=recipe)))


def test_an_older_view_is_remade_by_its_own_rules(tmp_path: Path) -> None:
    """Named entities were removed from in21k too, and labels were named by their synsets; they get names and keep ids."""
    url = make(tmp_path, [[["sun"], ["cat"], ["cat"]]]).corpus.store.url
    view(ViewConfig(corpus=url, name="v", vocabulary="in21k", processes=1))
    opened = View.open(Corpus.open(url), "v")
    assert len(view_rules_of(opened).match.entities) == 4
    recipe = json.loads(json.dumps(opened.file.recipe))
    del recipe["match"]["entities"], recipe["vocabulary"]["named_by"]
    labels = tuple(replace(label, name="+".join(label.synsets)) for label in opened.vocabulary.labels)
    opened.store.put("vocabulary.json", Vocabulary(labels).json())
    rules = view_rules_of(replace(opened, file=replace(opened.file, recipe=recipe)))
    assert rules.match.recipe() == MatchRules().recipe() == recipe["match"]
    assert (
        rules.vocabulary.earlier_labels() == tuple(label.synsets for label in labels) and rules.vocabulary.names() == {}
    )


def test_the_recipe_of_rules_without_a_cap_is_what_it_was() -> None:
    names = ["resample", "epoch_samples", "max_repeat", "noise", "subset", "excluded"]
    assert list(Members("sqrt", 7).recipe()) == names
    assert Members("cap", cap_at=4).recipe() == {**Members().recipe(), "resample": "cap", "cap_at": 4}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"resample": "cap"}, "without a threshold or a length .*give one: --cap-at"),
        ({"resample": "cap", "cap_at": 3, "epoch_samples": 5}, "with cap_at and epoch_samples"),
        ({"resample": "sqrt", "cap_at": 3}, "cap_at with sqrt resampling"),
        ({"resample": "cap", "cap_at": 0}, "cap_at"),
    ],
)
def test_a_cap_has_a_threshold_or_a_length(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Members(**values)
