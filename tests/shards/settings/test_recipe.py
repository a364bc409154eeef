"""Recipes: values by their fields' types, and what they cannot say."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@dataclass
class Letters:
    u: int = 0
    v: int = 0
    w: int = 0
    x: int = 0
    y: int = 0


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


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / next(iter(files))


def test_values_of_a_base_hold_where_a_recipe_has_none(tmp_path: Path) -> None:
    files = {
        "a/own.toml": 'base = "../b/mid.toml"\ncount = 3\n[more]\nz = 1\n',
        "b/mid.toml": 'base = "low.toml"\ncount = 2\nshare = 1\n',
        "b/low.toml": 'count = 1\nshare = 0\nkind = "a"\n[more]\ny = 2\n',
    }
    found = read_recipe(write(tmp_path, files), Settings)
    assert found == {"count": 3, "share": 1.0, "kind": "a", "more": {"z": 1}} and type(found["share"]) is float


@given(st.lists(st.dictionaries(st.sampled_from("uvwxy"), st.integers(1, 9), max_size=4), min_size=1, max_size=8))
def test_of_a_chain_the_nearest_value_holds_and_alternatives_replace_one_another(
    tmp_path_factory: pytest.TempPathFactory, files: list[dict[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    for number, values in enumerate(files):
        base = [f'base = "{number + 1}.toml"'] if number + 1 < len(files) else []
        text = "\n".join([*base, *(f"{name} = {value}" for name, value in values.items())])
        (folder / f"{number}.toml").write_text(text)
    hold = dict[str, int]()
    for values in files:  # from the nearest
        closed = {"u", "v"} if hold.keys() & {"u", "v"} else set()
        hold |= {name: value for name, value in values.items() if name not in hold and name not in closed}
    assert read_recipe(folder / "0.toml", Letters, alternatives=[{"u", "v"}]) == hold


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.toml": 'base = "b.toml"', "b.toml": 'base = "a.toml"'}, r"a circle: \S*a.toml -> \S*b.toml -> \S*a.toml"),
        ({"a.toml": 'base = "a.toml"'}, r"a circle: \S*a.toml -> \S*a.toml \("),
        (
            {f"{n}.toml": f'base = "{n + 1}.toml"' for n in range(9)} | {"9.toml": ""},
            r"more than 8 .*\(.*0.toml\): join",
        ),
        ({"a.toml": 'base = "no.toml"'}, r"no recipe: .*no.toml.*correct the base in \S*a.toml"),
        ({"a.toml": "base = 3"}, r"base = 3 \(.*a.toml\): give the name"),
        ({"a.toml": 'base = ""'}, "base = '' .*give the name"),
        ({"a.toml": 'base = "."'}, r"no recipe: .*correct the base in \S*a.toml"),
        ({"a.toml": 'base = "b.toml"\ncount = 1', "b.toml": "cuont = 1"}, r"no such fields: cuont \(.*b.toml\)"),
        ({"a.toml": 'base = "b.toml"\ncount = 1', "b.toml": "count = 0"}, r"count = 0 \(.*b.toml\)"),
        ({"a.toml": 'base = "b.toml"', "b.toml": 'recipe = "c"'}, r"no such fields: recipe \(.*b.toml\)"),
        ({"a.toml": "#" * (1 << 20) + "\n"}, "no recipe: a file of more than 1,048,576 bytes"),
        ({"a.toml": f"names = {'[' * 5000}"}, "no recipe"),
    ],
)
def test_a_base_that_cannot_be_used_is_named(files: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        read_recipe(write(tmp_path, files), Settings, without=("recipe",))


def test_a_chain_as_long_as_allowed_is_read(tmp_path: Path) -> None:
    files = {f"{n}.toml": f'base = "{n + 1}.toml"' for n in range(7)} | {"7.toml": "count = 5"}
    assert read_recipe(write(tmp_path, files), Settings) == {"count": 5}
