"""Command lines from dataclasses: values, groups, help."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import tyro

from tagmill.shards.errors import ConfigError
from tagmill.shards.settings.options import CommandLine, JsonOutput, flags_of
from tagmill.shards.settings.ranges import Between, Count


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What is read."""

    input: tuple[str, ...]
    """Files to
    read."""
    limit: Count | None = None
    """Maximum number."""


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """What is written."""

    output: str = "x"  # Where to.
    needed: Count
    """Copies."""
    kind: Literal["a", "b"] | None = None
    """Which kind."""


@dataclass(frozen=True, kw_only=True)
class Both(ReadOptions, WriteOptions):
    """Both of them."""

    own: bool = True
    """Own flag."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    corpus: tyro.conf.Positional[str]
    """Which corpus."""
    recipe: str | None = None
    """TOML file."""


COMMAND = CommandLine("prog", "Does it.", (Both, Shown, JsonOutput), common=("needed", "input"))
WORDS = ["c", "--input", "a", "b", "--needed", "2"]


def help_of(command: CommandLine, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        command.parse(["--help"])
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_flags_know_their_docs_ranges_defaults_and_groups() -> None:
    flags = {flag.name: flag for flag in flags_of(Both)}
    assert list(flags) == ["own", "input", "limit", "output", "needed", "kind"]
    assert (flags["input"].doc, flags["output"].doc) == ("Files to read.", "Where to.")
    assert flags["limit"].limits == Between(1) and flags["own"].limits is None
    assert {flag.group for flag in flags.values()} == {"both", "read", "write"}
    assert (flags["limit"].default, flags["output"].default, flags["kind"].about) == (None, "x", "What is written.")


def test_a_line_becomes_one_object_of_each_dataclass() -> None:
    assert COMMAND.parse(WORDS) == (Both(input=("a", "b"), needed=2), Shown(corpus="c"), JsonOutput())
    both, _, shown = COMMAND.parse([*WORDS, "--json", "--no-own", "--limit", "3", "--kind", "b"])
    assert both == Both(input=("a", "b"), needed=2, own=False, limit=3, kind="b") and shown.json


def test_the_help_has_groups_with_ranges_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(COMMAND, capsys)
    order = ["CORPUS", "--recipe", "--json", "common options", "--needed", "--input", "both options", "read options"]
    assert sorted(map(text.index, order)) == list(map(text.index, order))
    for part in (
        "--needed INT Copies. (at least 1) (required)",
        "--limit INT Maximum number. (at least 1)",
        "--output STR Where to. (default: x)",
        "--kind {a,b} Which kind. (optional)",
        "Own flag. (default: on)",
        "What is written.",
    ):
        assert part in text, part


@dataclass(frozen=True)
class Sized:
    size: Count | str = 224
    """Side."""


def test_a_flag_may_be_a_number_or_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    command = CommandLine("prog", "Does it.", (Sized,))
    assert "--size INT|STR Side. (at least 1, default: 224)" in help_of(command, capsys)
    assert command.parse([]) == command.parse(["--size", "224"]) == (Sized(224),)
    assert command.parse(["--size", "128-320:32"]) == (Sized("128-320:32"),)


def test_a_flag_replaces_what_a_recipe_says_in_another_way(tmp_path: Path) -> None:
    command = CommandLine("prog", "Does it.", (Both, Shown), alternatives=(frozenset({"limit", "kind"}),))
    (tmp_path / "own.toml").write_text('input = ["r"]\nneeded = 5\nlimit = 7\n')
    for words, limit in (([], 7), (["--kind", "a"], None), (["--kind=a", "--limit=3"], 3), (["--no-own"], 7)):
        assert command.parse(["c", "--recipe", str(tmp_path / "own.toml"), *words])[0].limit == limit


def test_a_recipe_gives_values_and_flags_override_it(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('input = ["r"]\nneeded = 5\nlimit = 7\nown = false\n')
    path = str(tmp_path / "own.toml")
    assert COMMAND.parse(["c", "--recipe", path])[0] == Both(input=("r",), needed=5, limit=7, own=False)
    both, shown, _ = COMMAND.parse([*WORDS, f"--recipe={path}", "--own"])
    assert both == Both(input=("a", "b"), needed=2, limit=7) and shown.recipe == path
    (tmp_path / "own.toml").write_text('corpus = "c"')
    with pytest.raises(ConfigError, match="no such fields: corpus"):
        COMMAND.parse(["c", "--recipe", path])


@pytest.mark.parametrize("words", [["--nope"], WORDS[:-2], [*WORDS, "--kind", "z"], [*WORDS, "--limit", "x"]])
def test_flags_that_are_not_there_end_with_status_2(words: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        COMMAND.parse(words)
    assert ended.value.code == 2 and capsys.readouterr().err


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """The network."""

    arguments: dict[str, int | str] = field(default_factory=dict)
    """Arguments of it."""


@dataclass(frozen=True, kw_only=True)
class Tabled(NetworkOptions, WriteOptions):
    """With a table."""

    recipe: str | None = None
    """TOML file."""


TABLED = CommandLine(
    "prog", "Does it.", (Tabled,), ("needed",), examples=("    prog --needed 3", "More of it:", "    x")
)


def test_examples_follow_the_first_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        TABLED.parse(["--help"])
    text = capsys.readouterr().out
    assert "Does it.\n    prog --needed 3\n\nMore of it:\n    x\n" in text
    assert text.index("More of it:") < text.index("--needed INT")


def test_a_table_is_in_its_group_and_a_recipe_gives_its_keys_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(TABLED, capsys)
    assert re.search(r"network options \W*The network\. \W*--arguments NAME VALUE \.\.\. Arguments of it\.", text)
    assert TABLED.parse(["--needed", "1", "--arguments", "a", "2"])[0].arguments == {"a": 2}
    (tmp_path / "own.toml").write_text("[arguments]\na = 1\n")
    words = ["--recipe", str(tmp_path / "own.toml"), "--needed", "1", "--arguments.a", "3"]
    assert TABLED.parse(words)[0].arguments == {"a": 3}
