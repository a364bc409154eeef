"""Command lines from dataclasses: a field is a flag, and its help is the field's docstring with its range and default."""

import argparse
import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from functools import cache
from itertools import chain
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import tyro

from tagmill.shards.settings.ranges import Between, hints_of, range_of
from tagmill.shards.settings.recipe import read_recipe, replaced


@dataclass(frozen=True)
class JsonOutput:
    """What a command prints."""

    json: bool = False
    """Print JSON, for programs."""


@dataclass(frozen=True)
class Flag:
    """One field of a dataclass as the command line shows it."""

    name: str
    hint: Any  # its type, with annotations
    doc: str  # plain sentences
    limits: Between | None
    default: Any  # MISSING where it must be given
    group: str  # of the class that defines it: "fetch" for FetchOptions
    about: str  # that class's docstring, its first paragraph


def flags_of(config: type) -> list[Flag]:
    """The flags of a dataclass, in the order of its bases and then of their fields."""
    own = {each.name: each for each in fields(config)}
    found: dict[str, Flag] = {}
    for cls in [config, *config.__bases__]:
        docs = _docs_of(cls) if cls is not object else {}
        for name in (name for name in inspect.get_annotations(cls) if name in own and name not in found):
            make = own[name].default_factory
            default = own[name].default if make is MISSING else make()
            hint = hints_of(config)[name]
            about = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
            group = cls.__name__.removesuffix("Options").lower()
            found[name] = Flag(name, hint, docs.get(name, ""), range_of(hint), default, group, about)
    return list(found.values())


@dataclass(frozen=True)
class CommandLine:
    """A command: its words, one sentence about it, and the dataclasses whose fields are its flags.

    Where a dataclass has several bases, the fields of each are a group of the help, after the flags in `common`. Where there is
    a flag `recipe`, the file that it names gives values to the first dataclass, and flags override them, unless `own_recipe`
    is off, for a command whose recipe is about something else. `alternatives`: groups
    of fields that say one thing in different ways; a flag for one of them replaces what the recipe says of all of them.
    `examples`: paragraphs of the help, below `about`; indented lines stay as they are.
    """

    prog: str
    about: str
    configs: tuple[Any, ...]
    common: tuple[str, ...] = ()
    alternatives: tuple[frozenset[str], ...] = ()
    examples: tuple[str, ...] = ()
    own_recipe: bool = True

    def flags(self) -> list[Flag]:
        """All flags, those of the first dataclass first."""
        return [flag for config in self.configs for flag in flags_of(config)]

    def parse(self, words: Sequence[str]) -> tuple[Any, ...]:
        """Reads a command line into one object of each dataclass. Raises ConfigError for a recipe or a value that is not valid;
        ends the process with status 2 for flags that do not exist, and with 0 after `--help`."""
        own = self.own_recipe and any(flag.name == "recipe" for flag in self.flags())
        path = _recipe_in(words) if own else None
        values = {} if path is None else read_recipe(path, self.configs[0], ("recipe",), self.alternatives)
        flags = {word.split("=")[0].removeprefix("--").replace("-", "_") for word in words if word.startswith("--")}
        values = {name: value for name, value in values.items() if name not in replaced(flags, self.alternatives)}
        # Text of its own paragraph has an empty line above it; tyro puts one above indented lines itself.
        about = self.about + "".join(f"\n{each}" if each.startswith(" ") else f"\n\n{each}" for each in self.examples)
        # Each flag has its help, so tyro need not parse source files for comments, which takes longer than all the rest.
        given = tyro.cli(
            self.options(values),
            args=list(words),
            prog=self.prog,
            description=about,
            config=(tyro.conf.HelptextFromCommentsOff,),
        )
        found = {
            name: value
            for part in [given, *(getattr(given, each.name) for each in fields(given) if each.name.startswith(_GROUP))]
            for name, value in vars(part).items()
        }
        return tuple(config(**{each.name: found[each.name] for each in fields(config)}) for config in self.configs)

    def options(self, defaults: Mapping[str, Any] | None = None) -> Any:
        """The dataclass that tyro parses: plain flags, and a nested dataclass for each group; `defaults` override those of the
        fields."""
        members: dict[str, list[Flag]] = {"": [], **({"common": []} if self.common else {})}
        for config in self.configs:
            for flag in flags_of(config):
                group = "common" if flag.name in self.common else flag.group if len(config.__bases__) > 1 else ""
                # The keys of a recipe's table are flags, --model-args.drop-rate, whose prefix a group would leave out.
                group = "" if get_origin(flag.hint) is dict and (defaults or {}).get(flag.name) else group
                members.setdefault(group, []).append(flag)
        top = [_field_of(flag, defaults or {}) for flag in members.pop("")]
        for name, flags in members.items():
            order = sorted(flags, key=lambda flag: self.common.index(flag.name)) if name == "common" else flags
            made: Any = make_dataclass(name, [_field_of(flag, defaults or {}) for flag in order], kw_only=True)
            made.__doc__ = flags[0].about if name != "common" else "What most runs set."
            top.append((_GROUP + name, Annotated[made, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name=name)], field()))
        made = make_dataclass("Command", top, kw_only=True)
        made.__doc__ = self.about
        return made


_GROUP = "group_"  # what the names of groups begin with in `CommandLine.options`; no flag shows it


def _recipe_in(words: Sequence[str]) -> str | None:
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--recipe")
    found: str | None = finder.parse_known_args(list(words))[0].recipe
    return found


def _field_of(flag: Flag, defaults: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """Name, type for tyro and default of a flag."""
    default = defaults.get(flag.name, flag.default)
    markers = [item for item in getattr(flag.hint, "__metadata__", ()) if not isinstance(item, Between)]
    shown = tyro.conf.arg(
        help=help_of(flag, default), help_behavior_hint=_hint_of(flag, default), metavar=_metavar(flag)
    )
    kind: Any = Annotated[(_plain(flag.hint), *markers, shown)]
    return flag.name, kind, field() if default is MISSING else field(default_factory=lambda: default)


def help_of(flag: Flag, default: Any = None) -> str:
    """What a flag does, in its help; where it must be given, tyro shows no default and the range goes here."""
    return f"{flag.doc} ({flag.limits})" if default is MISSING and flag.limits else flag.doc


def _hint_of(flag: Flag, default: Any) -> Any:
    parts = [str(flag.limits)] if flag.limits else []
    if default is None or default in ((), {}):
        parts += [] if parts else ["optional"]
        return f"({', '.join(parts)})"
    return lambda shown: f"({', '.join([*parts, f'default: {_shown(default, shown)}'])})"


def _shown(default: object, shown: str) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return repr(default) if isinstance(default, str) and not default.strip(",. ") else shown


def _plain(hint: Any) -> Any:
    """A type without annotations."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return Union[tuple(map(_plain, get_args(hint)))]  # noqa: UP007
    return hint


def _metavar(flag: Flag) -> str | None:
    """The name of a positional argument; of a table, pairs; of a union, its types without None."""
    hint = flag.hint
    if get_origin(hint) is dict:
        return "NAME VALUE ..."
    if tyro.conf.Positional[str].__metadata__[0] in getattr(hint, "__metadata__", ()):  # type: ignore[attr-defined]
        return flag.name.upper()
    if get_origin(hint) not in (Union, UnionType):
        return None
    return "|".join(_name(_plain(each)) for each in get_args(hint) if each is not NoneType)


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        choices = ",".join(map(str, get_args(kind)))
        return choices if len(get_args(kind)) == 1 else f"{{{choices}}}"
    return {int: "INT", float: "FLOAT", str: "STR"}.get(kind, "PATH")


@cache
def _docs_of(cls: type) -> dict[str, str]:
    """The docstring under each field of a class, or else the comment behind it."""
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):
        return {}
    (tree,) = ast.parse(source).body
    lines, found = source.splitlines(), dict[str, str]()
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for node, after in zip(body, chain(body[1:], [None])):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            text = inspect.cleandoc(after.value.value)
        else:
            rest = lines[(node.end_lineno or 0) - 1].encode()[node.end_col_offset or 0 :].decode()
            text = rest.strip().removeprefix("# ")
        found[node.target.id] = " ".join(text.split())
    return found
