"""The import law, the doors of the heavy libraries, and the manners that a machine can check."""

import ast
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

ROOT = Path(__file__).resolve().parent.parent

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
    "pyspark": {"ingest/engines/spark_session.py"},
    "py4j": {"ingest/engines/spark_session.py"},
    "sqlglot": {"ingest/engines/dialect.py"},
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


def sources() -> list[Path]:
    """Our own source files: rooms and root, without tests and benchmarks."""
    rooms = [room for room in [*LAW, "demo"] if (ROOT / room).is_dir()]
    found = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    return sorted([*found, *ROOT.glob("*.py")])


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def imports(path: Path) -> tuple[tuple[str, int, bool], ...]:
    """(module, line, only for type checkers) of every import in a file, wherever it stands."""
    return tuple(_imports(path, tree_of(path)))


def _imports(path: Path, tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, id(node) in typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name, node.lineno, id(node) in typing_only) for name in names)


def room_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("tagmill", *(parts[:-1] if parts[-1] == "__init__" else parts)))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_only_what_the_law_allows(path: Path) -> None:
    room = room_of(path)
    for name, line, _ in imports(path):
        if not name.startswith("tagmill.") or room not in LAW:
            continue
        target = name.split(".")[1]
        where = f"{path.relative_to(ROOT)}:{line} imports {name}"
        assert target == room or target in LAW[room], where
        if target in FRONT_DOOR_ONLY.get(room, set()):
            assert name.count(".") == 2, f"{where}: only through the front door"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_have_one_door(path: Path) -> None:
    relative = str(path.relative_to(ROOT))
    for name, line, typing_only in imports(path):
        library = name.split(".")[0]
        if library in DOORS and not typing_only and room_of(path) in LAW:
            allowed = relative in DOORS[library] or (library == "torch" and room_of(path) in TORCH_ROOMS)
            assert allowed, f"{relative}:{line} imports {name}; its door is {sorted(DOORS[library])}"


def test_no_two_way_imports_inside_a_room() -> None:
    edges: dict[str, set[str]] = {}
    names = {module_of(path) for path in sources()}
    for path in sources():
        if path.name == "__init__.py":
            continue
        targets = {name if name in names else name.rpartition(".")[0] for name, _, _ in imports(path)}
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
        for name, line, _ in imports(path):
            target = names.get(name) or names.get(name.rpartition(".")[0])
            if target is not None and folder_of(target) != folder_of(path):
                where = f"{path.relative_to(ROOT)}:{line} imports {name}"
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


def public_names(path: Path) -> Iterator[str]:
    for node in tree_of(path).body:
        names = []
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        # A type variable, a logger and the start of a script are never imported.
        yield from (
            name for name in names if not name.startswith("_") and len(name) > 1 and name not in ("log", "main")
        )


@pytest.mark.parametrize("room", [room for room in LAW if (ROOT / room).is_dir() and room != "examples"])
def test_no_two_public_things_of_a_wing_have_one_name(room: str) -> None:
    homes: dict[str, list[str]] = {}
    for path in sorted((ROOT / room).rglob("*.py")):
        for name in public_names(path):
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


def test_bare_room_names_are_barred() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"tagmill\.shards"):
        __import__("shards")


def test_files_and_functions_stay_small() -> None:
    """400 lines a file, 60 a function; the training loop is a page and may be longer."""
    for path in sources():
        text = path.read_text()
        assert text.count("\n") <= 400, f"{path} has {text.count(chr(10))} lines"
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and path.name != "train.py":
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 60, f"{path}:{node.lineno} {node.name} has {length} lines"


def test_every_source_file_has_a_docstring_and_no_room_is_nameless() -> None:
    for path in sources():
        assert ast.get_docstring(tree_of(path)), f"{path} does not say what it is for"
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
    text = path.read_text()
    tree = tree_of(path)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            if id(node) in docs or room_of(path) not in WORDED_RESULTS:
                yield node.lineno, node.value
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.name.replace("_", " ")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


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
def modules_named(path: Path) -> set[str]:
    """Modules that a file imports, or names in a string to import them later."""
    texts = (node.value for node in ast.walk(tree_of(path)) if isinstance(node, ast.Constant))
    strings = {text for text in texts if isinstance(text, str)}
    return {name for name, _, _ in imports(path)} | strings | {f"tagmill.{text}" for text in strings}


def used_from_outside(folder: Path) -> list[str]:
    """Files of a folder that our own code outside it imports, below the folder and without suffix."""
    files = {module_of(path): path for path in folder.rglob("*.py")}
    names = {name for path in sources() if folder not in path.parents for name in modules_named(path)}
    found = {files.get(name) or files.get(name.rpartition(".")[0]) for name in names}
    relative = (path.relative_to(folder) for path in found if path is not None)
    return sorted(str(path.parent if path.name == "__init__.py" else path.with_suffix("")) for path in relative)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_lists_the_files_that_others_import(folder: Path) -> None:
    """An inner file is imported from outside only where the folder's docstring says so, in its last sentence."""
    line = f"Used from outside: {', '.join(used_from_outside(folder)) or 'nothing'}."
    text = " ".join((ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "").split())
    assert text.endswith(line), f"{folder.relative_to(ROOT)}/__init__.py should end with: {line}"
