"""The documentation is true: links resolve, named files and flags exist, tables match schemas, generated pages are current."""

import importlib
import json
import re
import shlex
import tomllib
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tagmill.docs.generate.__main__ import committed
from tagmill.docs.generate.commands import COMMANDS, help_of
from tagmill.docs.generate.speed import newest
from tests.markdown import ROOT, Page, pages
from tests.test_house import BARRED

PAGES = {page.name: page for page in pages()}
ROOMS = ("ingest", "pipeline", "shards", "bench", "demo", "examples")
LANGUAGES = {"bash", "console", "python", "text", "yaml"}
# Flags in prose that belong to other programs: img2dataset, pip, pytest, our benchmarks and their Makefile targets.
OTHERS_FLAGS = {"--out", "--images", "--minutes", "--quick", "--device", "--conf", "--store", "--repo-type"}
SLURM_AND_TORCHRUN = {
    *("--time", "--signal", "--requeue", "--dependency", "--cpus-per-task"),
    *("--max-restarts", "--rdzv-conf", "--rdzv-id", "--nnodes", "--shutdown-timeout"),
}
FORMAT = PAGES["docs/reference/format.md"]
each_page = pytest.mark.parametrize("page", PAGES.values(), ids=lambda page: page.name)


@each_page
def test_links_and_anchors_resolve(page: Page) -> None:
    for link in page.links:
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        path = (page.path.parent / name).resolve() if name else page.path
        assert path.exists(), f"{page.name} links to {link}"
        assert path.is_relative_to(ROOT), f"{page.name} links to {link}, outside the repository"
        if anchor:
            assert anchor in Page(path).anchors, f"{page.name} links to {link}"


@each_page
def test_named_files_exist(page: Page) -> None:
    """Paths of this repository in backticks; the format names paths of a corpus, the changelog files that are gone."""
    rooms = "ingest|pipeline|shards|tests|bench|docs|demo|recipes|examples|setup|python"
    for name in re.findall(rf"`((?:{rooms})/[\w./-]*)`", page.prose):
        if page.name not in ("docs/reference/format.md", "CHANGELOG.md") and name != "shards/":
            assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_pages_that_the_code_names_exist() -> None:
    programs = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    for path in [*programs, ROOT / "Makefile", ROOT / "train.py", ROOT / "cli.py"]:
        for name in re.findall(r"docs/[\w/-]+\.md|\b[A-Z]+\.md", path.read_text()):
            assert (ROOT / name).exists(), f"{path.relative_to(ROOT)} names {name}"


@each_page
def test_blocks_have_a_language_and_run_or_say_why_not(page: Page) -> None:
    for block in page.blocks:
        where = f"{page.name}:{block.line}"
        assert block.language in LANGUAGES, f"{where} is marked {block.language!r}, there are {sorted(LANGUAGES)}"
        assert block.comment in ("", "slow") or block.why_not_run, f"{where}: {block.comment!r} is no reason"
        assert block.language != "yaml" or block.why_not_run, f"{where}: YAML does not run"


@cache
def flags_of(command: str) -> frozenset[str]:
    return frozenset(re.findall(r"--[a-z0-9][a-z0-9-]*", help_of(command)))


def used_command(words: list[str]) -> str | None:
    """The command of COMMANDS that a line runs, if it runs one."""
    if words[:1] == ["torchrun"] and "tagmill.train" in words:
        return "train"
    if words[:1] != ["tagmill"] or words[1] == "help" or words[1].startswith("-"):
        return None
    found = [name for name in COMMANDS if words[1 : 1 + len(name.split())] == name.split()]
    assert found, f"no such command: {' '.join(words)}"
    return found[0]


@each_page
def test_commands_that_are_not_run_exist(page: Page) -> None:
    """Their flags, make targets and extras."""
    makefile = (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for block in page.blocks:
        if block.language not in ("bash", "console"):
            continue
        for line in block.commands:
            words = shlex.split(line)
            where = f"{page.name}:{block.line}: {line}"
            if words[0] == "make":
                for target in (word for word in words[1:] if "=" not in word):
                    assert re.search(rf"^{target}:", makefile, re.MULTILINE), where
            if words[:2] == ["pip", "install"]:
                assert set(re.findall(r"[\w-]+", "".join(re.findall(r"\[([^\]]*)\]", line)))) <= {*extras}, where
            if command := used_command(words):
                ours = words[words.index("tagmill.train") :] if "tagmill.train" in words else words
                given = {word.partition("=")[0] for word in ours if word.startswith("--")}
                assert given <= flags_of(command), f"{where}: no flags {sorted(given - flags_of(command))}"


@each_page
def test_flags_in_prose_exist(page: Page) -> None:
    known = OTHERS_FLAGS.union(*(flags_of(command) for command in COMMANDS))
    if page.name == "docs/training/clusters.md":
        known |= SLURM_AND_TORCHRUN
    prose = page.prose
    if page.name == "docs/how-to/img2dataset.md":
        prose = re.sub(r"^\|[^|]*\|", "|", prose, flags=re.MULTILINE)
    if page.name == "docs/how-to/images.md":
        prose = prose.replace("`disable_all_reencoding`", "")
    for flag, open_end in re.findall(r"`(--[a-z][a-z0-9-]*)(\.\.\.)?", prose):
        there = any(name.startswith(flag) for name in known) if open_end else flag in known
        assert there, f"{page.name}: {flag}"


@each_page
def test_pages_use_the_words_of_the_field(page: Page) -> None:
    if page.name != "docs/reference/speed.md":  # names of cases are keys of bench/results
        prose = " ".join(page.prose.split())
        found = [
            prose[max(0, match.start() - 40) : match.end() + 40] for match in re.finditer("|".join(BARRED), prose, re.I)
        ]
        assert not found, page.name


def test_generated_pages_are_current() -> None:
    for name, text in committed().items():
        assert PAGES[name].text == text, f"{name} is not what the code says: run make pages"


def test_ratios_of_the_readme_are_the_results() -> None:
    loader, ingest = (json.loads(newest(ROOT, name).read_text())["ratios"] for name in ("loader", "ingest"))
    alone = loader["uint8: tagmill/decode only"]
    others = [ratio for name, ratio in loader.items() if "decode only" not in name]
    text = " ".join(PAGES["README.md"].text.split())
    assert f"{min(others):.1f} to {max(others):.1f} times the images/s of other loaders" in text
    assert f"{alone:.2f} of the rate of decoding alone" in text
    assert f"{ingest['tagmill/img2dataset']:.1f} times as fast as img2dataset" in text


def rows_below(marker: str) -> list[list[str]]:
    """The cells of the table that follows a marker comment in the format's page, without its head."""
    table = FORMAT.text.partition(f"<!-- {marker} -->\n")[2].lstrip("\n").partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def markers(kind: str) -> list[str]:
    return re.findall(rf"<!-- ({kind}: \S+) -->", FORMAT.text)


def named_by(marker: str) -> Any:
    module, _, name = marker.partition(": ")[2].partition(":")
    return getattr(importlib.import_module(module), name)


def plain(kind: pa.DataType) -> str:
    return f"list<{plain(kind.value_type)}>" if pa.types.is_list(kind) else str(kind)


@pytest.mark.parametrize("marker", markers("schema"))
def test_tables_of_the_format_are_the_schemas(marker: str) -> None:
    schema = named_by(marker)
    expected = [[f"`{field.name}`", plain(field.type), "yes" if field.nullable else "no"] for field in schema]
    assert [row[:3] for row in rows_below(marker)] == expected


@pytest.mark.parametrize("marker", markers("dtype"))
def test_records_of_the_format_are_the_dtypes(marker: str) -> None:
    dtype: np.dtype[Any] = named_by(marker)
    expected = []
    for name in dtype.names or ():
        kind = dtype[name]
        shape = "".join(f"[{length}]" for length in kind.shape)
        assert kind.base.byteorder in "<|=", "little-endian"
        expected.append([f"`{name}`", f"{kind.base.name}{shape}"])
    assert [row[:2] for row in rows_below(marker)] == expected


@pytest.mark.parametrize("marker", markers("fields"))
def test_files_of_the_format_have_these_fields(marker: str) -> None:
    assert [row[0] for row in rows_below(marker)] == [f"`{field.name}`" for field in fields(named_by(marker))]


def test_every_table_that_others_read_is_in_the_format() -> None:
    named = {marker.rpartition(":")[2] for kind in ("schema", "dtype") for marker in markers(kind)}
    tables = {"SHARDS", "INPUTS", "FACTS", "REJECTS", "LEDGER", "MATCHES", "LIST", "VIEW_SHARDS", "INDEX"}
    assert named == tables | {"EXTRA", "FACT", "PICTURES", "SEARCH"}
