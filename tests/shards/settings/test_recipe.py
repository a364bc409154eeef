"""Recipes: values by their fields' types, and what they cannot say."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from tagmill.shards.errors import ConfigError
from tagmill.shards.settings.ranges import Count, Share
from tagmill.shards.settings.recipe import read_recipe


@dataclass
class Settings:
    recipe: str | None = None
    count: Count = 1
    share: Share | None = None
    kind: Literal["a", "b"] | None = None
    on: bool = False
    names: tuple[str, ...] = ()
    rates: tuple[float, float] = (0.0, 0.0)
    path: Path | None = None
    more: dict[str, int | str] = field(default_factory=dict)


def read(folder: Path, text: str) -> dict[str, Any]:
    (folder / "own.toml").write_text(text)
    return read_recipe(folder / "own.toml", Settings, without=("recipe",))


def test_values_have_the_types_of_their_fields(tmp_path: Path) -> None:
    text = (
        'count = 3\nshare = 1\nkind = "b"\non = true\nnames = ["x", "y"]\nrates = [1, 0.5]\npath = "p"\n[more]\nz = 1\n'
    )
    found = read(tmp_path, text)
    assert found == {
        "count": 3,
        "share": 1.0,
        "kind": "b",
        "on": True,
        "names": ("x", "y"),
        "rates": (1.0, 0.5),
        "path": Path("p"),
        "more": {"z": 1},
    }
    assert type(found["share"]) is float and {type(rate) for rate in found["rates"]} == {float}
    assert read(tmp_path, "") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cuont = 1", r"no such fields: cuont \(.*\): did you mean count\? the fields are count, "),
        ("Share-s = 1", "did you mean share"),
        ("zzzz = 1", r"no such fields: zzzz \(.*\): the fields are"),
        ('recipe = "a"', "no such fields: recipe"),
        ("count = 0", r"count = 0 \(.*own.toml\): give a whole number of at least 1"),
        ("count = 1.0", "count = 1.0 .*give a whole number"),
        ("count = true", "count = True .*give a whole number"),
        ("share = 1.5", "share = 1.5 .*give a number from 0 to 1"),
        ('kind = "c"', "kind = 'c' .*give one of a, b"),
        ("on = 1", "on = 1 .*give true or false"),
        ('names = "x"', "names = 'x' .*give a list, each item a text"),
        ('rates = [1, "x"]', "give a list, each item a number"),
        ("more = 3", "give a table"),
        ("count = ", "no recipe: .*give a TOML file"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no recipe: .*none\.toml"):
        read_recipe(tmp_path / "none.toml", Settings)
