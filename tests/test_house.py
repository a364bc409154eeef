"""The import law, the doors of the heavy libraries, and the manners that a machine can check."""

import functools
import importlib
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagmill.cli import COMMANDS, GROUPS, Command
from tagmill.shards.settings.options import CommandLine
from tests.sources import ROOT, comments, source_of

# ARCHITECTURE.md, "Import law". Rooms that are not listed (tests, bench, demo, docs, cli) may import all.
LAW = {
    "shards": set[str](),
    "ingest": {"shards"},
    "pipeline": {"shards"},
    "training": {"pipeline", "shards"},
    "train": {"training", "pipeline", "shards"},
    "predict": {"training", "pipeline", "ingest", "shards"},
    "pages": {"shards"},
    "browse": {"ingest", "pages", "shards"},
    "transfer": {"training", "pipeline", "ingest", "pages", "shards"},
    "studies": {"train", "training", "transfer", "pipeline", "ingest", "pages", "shards"},
    "examples": {"pipeline", "shards"},
}
FRONT_DOOR_ONLY = {
    "training": {"pipeline"},
    "train": {"pipeline"},
    "predict": {"pipeline"},
    "browse": {"ingest"},
    "transfer": {"pipeline"},
    "studies": {"pipeline"},
    "examples": {"pipeline", "shards"},
}
DOORS = {
    "nvidia": {"pipeline/decode/dali_graph.py"},
    "duckdb": {"ingest/engines/duckdb.py"},
    "pyspark": {
        "ingest/engines/spark_errors.py",
        "ingest/engines/spark_items.py",
        "ingest/engines/spark_ready.py",
        "ingest/engines/spark_session.py",
        "ingest/engines/spark_start.py",
    },
    "py4j": {"ingest/engines/spark_errors.py", "ingest/engines/spark_ready.py"},
    "sqlglot": {"ingest/engines/dialect.py", "ingest/row_filter/condition.py"},
    "aiohttp": {"ingest/http/client.py"},
    "fsspec": {"shards/storage/remote/opening.py", "shards/storage/remote/filesystems.py"},
    "s3fs": set[str](),
    "obstore": {"shards/storage/remote/clients.py"},
    "huggingface_hub": {"shards/storage/remote/hub_driver.py"},
    "botocore": {"shards/storage/remote/s3_credentials.py"},
    # alter and colour work on batches where they lie; the loader is torch's own IterableDataset.
    "torch": {
        "pipeline/augment/apply.py",
        "pipeline/augment/colour.py",
        "pipeline/batch.py",
        "pipeline/decode/backend.py",
        "pipeline/decode/buffer_pool.py",
        "pipeline/decode/compiled_normalise.py",
        "pipeline/decode/cpu.py",
        "pipeline/decode/cuda_stream.py",
        "pipeline/decode/dali.py",
        "pipeline/decode/dali_graph.py",
        "pipeline/decode/in_turn.py",
        "pipeline/decode/choice/device.py",
        "pipeline/decode/resize.py",
        "pipeline/decode/threads/pool.py",
        "pipeline/headroom/device_idle.py",
        "pipeline/headroom/headroom.py",
        "pipeline/loader.py",
        "pipeline/own_world.py",
        "train.py",
    },
    "wandb": {"training/metrics/wandb_writer.py"},
    "jinja2": {"pages/templates.py"},
    "uvicorn": {"browse/server/browse_command.py"},
    "matplotlib": {"pages/drawing.py"},
    "tensorboard": set[str](),
    "lightning": {"examples/lightning_module.py"},
    "accelerate": {"examples/accelerate_loop.py"},
}
TORCH_ROOMS = {"training", "predict", "transfer", "studies", "examples"}


@functools.cache
def sources() -> tuple[Path, ...]:
    """Our own source files: rooms and root, without tests and benchmarks."""
    rooms = [room for room in [*LAW, "demo"] if (ROOT / room).is_dir()]
    found = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    return tuple(sorted([*found, *ROOT.glob("*.py")]))


def room_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("tagmill", *(parts[:-1] if parts[-1] == "__init__" else parts)))


@pytest.mark.parametrize("room", LAW)
def test_rooms_import_only_what_the_law_allows(room: str) -> None:
    broken = []
    for path in sources():
        for each in source_of(path).imports if room == room_of(path) else ():
            if not each.name.startswith("tagmill."):
                continue
            target = each.name.split(".")[1]
            where = f"{path.relative_to(ROOT)}:{each.line} imports {each.name}"
            if target != room and target not in LAW[room]:
                broken.append(where)
            elif target in FRONT_DOOR_ONLY.get(room, set()) and each.name.count(".") != 2:
                broken.append(f"{where}: only through the front door")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("room", LAW)
def test_heavy_libraries_have_one_door(room: str) -> None:
    broken = []
    for path in sources():
        relative = str(path.relative_to(ROOT))
        for each in source_of(path).imports if room == room_of(path) else ():
            library = each.name.split(".")[0]
            if library in DOORS and not each.typing_only:
                allowed = relative in DOORS[library] or (library == "torch" and room in TORCH_ROOMS)
                if not allowed:
                    broken.append(f"{relative}:{each.line} imports {each.name}; its door is {sorted(DOORS[library])}")
    assert not broken, "\n".join(broken)


def test_no_two_way_imports_inside_a_room() -> None:
    edges: dict[str, set[str]] = {}
    names = {module_of(path) for path in sources()}
    for path in sources():
        if path.name == "__init__.py":
            continue
        targets = {
            each.name if each.name in names else each.name.rpartition(".")[0] for each in source_of(path).imports
        }
        edges[module_of(path)] = targets & names - {module_of(path)}

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for target in edges.get(todo.pop(), set()) - seen:
                seen.add(target)
                todo.append(target)
        return seen

    cycles = sorted(name for name in edges if name in reach(name))
    assert not cycles, f"these files import each other in a circle: {cycles}"


def folder_of(path: Path) -> str:
    """`wing/folder` of a file below one; a file at the top of a wing stands for itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "/".join(parts[:2])


def test_no_two_folders_import_each_other() -> None:
    names = {module_of(path): path for path in sources()}
    edges: dict[str, dict[str, str]] = {}
    for path in sources():
        if path.name == "__init__.py" and len(path.relative_to(ROOT).parts) == 2:
            continue  # a wing's front door
        for each in source_of(path).imports:
            target = names.get(each.name) or names.get(each.name.rpartition(".")[0])
            if target is not None and folder_of(target) != folder_of(path):
                where = f"{path.relative_to(ROOT)}:{each.line} imports {each.name}"
                edges.setdefault(folder_of(path), {})[folder_of(target)] = where

    def way(start: str, end: str) -> list[str] | None:
        todo: list[tuple[str, list[str]]] = [(start, [])]
        seen: set[str] = set()
        while todo:
            at, steps = todo.pop()
            for target, where in edges.get(at, {}).items():
                if target == end:
                    return [*steps, where]
                if target not in seen:
                    seen.add(target)
                    todo.append((target, [*steps, where]))
        return None

    circles = {folder: way(folder, folder) for folder in edges}
    assert not any(circles.values()), next(steps for steps in circles.values() if steps)


def test_folders_stay_small() -> None:
    """15 files with one purpose, which the folder's docstring says; bench and demo are lists of programs."""
    for room in LAW:
        for folder in [ROOT / room, *(ROOT / room).rglob("*/")]:
            files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
            assert len(files) <= 15, f"{folder.relative_to(ROOT)} has {len(files)} files"


@pytest.mark.parametrize("room", [room for room in LAW if (ROOT / room).is_dir() and room != "examples"])
def test_no_two_public_things_of_a_wing_have_one_name(room: str) -> None:
    homes: dict[str, list[str]] = {}
    for path in sorted((ROOT / room).rglob("*.py")):
        for name in source_of(path).public_names:
            homes.setdefault(name, []).append(str(path.relative_to(ROOT)))
    twice = {name: files for name, files in homes.items() if len(files) > 1}
    assert not twice


def test_only_the_store_opens_files_of_a_store_for_writing() -> None:
    """fsspec commits a cut object when an exception leaves the `with` of `fs.open(..., "wb")`."""
    for path in sources():
        if path == ROOT / "shards/storage/store.py":
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not re.search(r"\b(fs|filesystem|handle\([^)]*\)\[0\])\.open\([^)]*[\"'][wa]b", line), (
                f"{path}:{number}"
            )


def test_importing_the_loader_brings_only_what_it_needs() -> None:
    code = (
        "import sys, tagmill.pipeline\n"
        "heavy = {'nvidia.dali', 'duckdb', 'aiohttp', 'webdataset', 'timm', 'torchvision', 's3fs', 'tagmill.ingest'}\n"
        "heavy |= {'obstore', 'torchdata', 'lightning', 'accelerate', 'torch.distributed.checkpoint', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"


def test_comments_are_those_that_python_finds() -> None:
    text = (
        'a = "#" # one\nb = \'\'\'\n"# "" \'\'\' + r"\\" # two\nc = f"{a}\\"# {b}" # three\n'
        + Path(__file__).read_text()
    )
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    assert list(comments(text)) == found and found[2] == (4, "# three")


def test_bare_room_names_are_barred() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"tagmill\.shards"):
        __import__("shards")


def test_files_and_functions_stay_small() -> None:
    """400 lines a file, 60 a function; the training loop is a page and may be longer."""
    for path in sources():
        source = source_of(path)
        assert source.lines <= 400, f"{path} has {source.lines} lines"
        for each in source.functions:
            assert each.length <= 60 or path.name == "train.py", (
                f"{path}:{each.line} {each.name} has {each.length} lines"
            )


def test_every_source_file_has_a_docstring_and_no_room_is_nameless() -> None:
    for path in sources():
        assert source_of(path).docstring, f"{path} does not say what it is for"
        assert not {"utils", "util", "common", "helpers", "misc", "base"} & {
            *path.relative_to(ROOT).parts,
            path.stem,
        }, path


# ------------------------------------------------------------------------------------------------------------ Help texts
LINES = [*COMMANDS.values(), *(command for _, commands in GROUPS.values() for command in commands.values())]
DIALECT = (
    r"\b(whoever|nobody|is told|are told|lies?|stands?|anew|of these|what is none|goes by|picture)\b|\bsuch\b(?! as)"
)


@pytest.mark.parametrize("command", LINES, ids=lambda command: command.options)
def test_every_flag_has_a_plain_sentence_with_its_range(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    line: CommandLine = getattr(importlib.import_module(command.module), command.options)
    assert line.about == command.help
    with pytest.raises(SystemExit):
        line.parse(["--help"])
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    texts = {"about": line.about} | {flag.name: flag.doc for flag in line.flags()}
    for name, text in texts.items():
        assert text.endswith("."), f"{name}: {text!r} is not a sentence"
        assert len(text) <= 240 and "Raises" not in text and not re.search(DIALECT, text, re.IGNORECASE), (
            f"{name}: {text}"
        )
        assert text in shown, f"{name} is not in the help"
    for flag in line.flags():
        if flag.limits is not None:
            after = shown.split(flag.doc, 1)[1]
            assert re.match(rf" \({re.escape(str(flag.limits))}[,)]", after), f"{flag.name}: {after[:60]}"


# ------------------------------------------------------------------------------------------------------------- Prose
# Words that the field does not use in this sense. "such as" and "no such" are allowed.
BARRED = (
    r"\b(is|are|was|were|be|being|been) told\b",
    r"\bwho(so)?ever\b",
    r"\b(no|some|every)body\b",
    r"\banew\b",
    r"\bwhat is none\b",
    r"\bgoes by\b",
    r"\bstands?\b(?!-in)",
    r"\b(lies?|lay)\b",
    r"\bheld against\b",
    r"\bthe way out\b",
    r"\binterpreter('s)? lock\b",
    r"(?<!\bno )\bsuch\b(?! as\b| an?\b)",
)
PLAIN = (
    "pipeline",
    "training",
    "predict",
    "shards",
    "demo",
    "examples",
    "bench",
    "docs",
    "ingest",
    "browse",
    "pages",
    "transfer",
    "studies",
)
UNCHECKED = (
    *(f"tests/ingest/{folder}/" for folder in ("config", "dedup", "filters", "pack", "parts", "progress", "takedown")),
    "tests/ingest/test_",
)
WORDED_RESULTS = {"bench"}  # names of cases and columns are keys of bench/results and stay


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of the docstrings, comments, longer strings and test names of a file."""
    source = source_of(path)
    yield from source.prose
    if room_of(path) not in WORDED_RESULTS:
        yield from source.messages


@pytest.mark.parametrize("room", PLAIN)
def test_prose_uses_the_words_of_the_field(room: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {match.group()!r}"
        for folder in (ROOT / room, ROOT / "tests" / room)
        for path in sorted(folder.rglob("*.py"))
        if not str(path.relative_to(ROOT)).startswith(UNCHECKED)
        for line, text in prose(path)
        if (match := re.search("|".join(BARRED), " ".join(text.split()), re.IGNORECASE))
    ]
    assert not found, "\n".join(found)


# ------------------------------------------------------------------------------------------- What folders offer to others
FOLDERS = sorted(
    path.parent for room in ("ingest", "pipeline", "shards") for path in (ROOT / room).glob("*/__init__.py")
)


@functools.cache
def files_named() -> dict[Path, set[Path]]:
    """By file, our files that it imports, or names in a string to import them later."""
    files = {module_of(path): path for path in sources()}
    found = {}
    for path in sources():
        words = source_of(path).words
        names = {each.name for each in source_of(path).imports} | words | {f"tagmill.{word}" for word in words}
        named = (files.get(name) or files.get(name.rpartition(".")[0]) for name in names)
        found[path] = {each for each in named if each is not None}
    return found


def used_from_outside(folder: Path) -> list[str]:
    """Files of a folder that our own code outside it imports, below the folder and without suffix."""
    named = (files for path, files in files_named().items() if folder not in path.parents)
    found = {path.relative_to(folder) for files in named for path in files if folder in path.parents}
    return sorted(str(path.parent if path.name == "__init__.py" else path.with_suffix("")) for path in found)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_lists_the_files_that_others_import(folder: Path) -> None:
    """An inner file is imported from outside only where the folder's docstring says so, in its last sentence."""
    line = f"Used from outside: {', '.join(used_from_outside(folder)) or 'nothing'}."
    text = " ".join((source_of(folder / "__init__.py").docstring or "").split())
    assert text.endswith(line), f"{folder.relative_to(ROOT)}/__init__.py should end with: {line}"
