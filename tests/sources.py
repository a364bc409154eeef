"""What the tests of our manners look at in a source file: it is read and parsed once, and its tree is not kept."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_STRING = r'"""(?:\\.|[^\\])*?"""' + r"|'''(?:\\.|[^\\])*?'''" + r'|"(?:\\.|[^"\\\n])*"' + r"|'(?:\\.|[^'\\\n])*'"
_STRING_OR_COMMENT = re.compile(rf"(?:{_STRING})|(?P<comment>#[^\n]*)", re.DOTALL)


@dataclass(frozen=True)
class Import:
    """The import of a module, or of a name of one, wherever it is in the file."""

    name: str
    line: int
    typing_only: bool


@dataclass(frozen=True)
class Function:
    name: str
    line: int
    length: int


@dataclass(frozen=True)
class Source:
    """Facts of a file. `words` are strings without a space, and `prose` is what people read, with its lines: docstrings,
    comments, other strings with a space (in `messages`) and the names of tests."""

    docstring: str | None
    lines: int
    imports: tuple[Import, ...]
    functions: tuple[Function, ...]
    public_names: tuple[str, ...]
    words: frozenset[str]
    prose: tuple[tuple[int, str], ...]
    messages: tuple[tuple[int, str], ...]


@cache
def source_of(path: Path) -> Source:
    """Returns the facts of a file."""
    text = path.read_text()
    tree = ast.parse(text)
    nodes = list(_walk(tree))
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    strings = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    tests = [(node.lineno, node.name.replace("_", " ")) for node in functions if node.name.startswith("test_")]
    sentences = [(id(node) in docs, node.lineno, str(node.value)) for node in strings if " " in str(node.value)]
    return Source(
        docstring=ast.get_docstring(tree),
        lines=text.count("\n"),
        imports=tuple(_imports(path, nodes)),
        functions=tuple(Function(node.name, node.lineno, _length(node)) for node in functions),
        public_names=tuple(_public_names(tree)),
        words=frozenset(str(node.value) for node in strings if " " not in str(node.value)),
        prose=(*((line, said) for is_doc, line, said in sentences if is_doc), *tests, *comments(text)),
        messages=tuple((line, said) for is_doc, line, said in sentences if not is_doc),
    )


def comments(text: str) -> Iterator[tuple[int, str]]:
    """(line, comment) of every comment of a program of Python 3.11, whose strings hold none of their own quotes."""
    for match in _STRING_OR_COMMENT.finditer(text):
        if match["comment"]:
            yield text.count("\n", 0, match.start()) + 1, match["comment"]


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below one and itself, as `ast.walk` finds them, in half its time."""
    todo = [node]
    while todo:
        found = todo.pop()
        yield found
        for name in found._fields:
            value = getattr(found, name, None)
            if isinstance(value, list):
                todo.extend(each for each in value if isinstance(each, ast.AST))
            elif isinstance(value, ast.AST):
                todo.append(value)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _imports(path: Path, nodes: list[ast.AST]) -> Iterator[Import]:
    typing_only = {
        id(node)
        for block in nodes
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in _walk(block)
    }
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, id(node) in typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (Import(name, node.lineno, id(node) in typing_only) for name in names)


def _public_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
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
