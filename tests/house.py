"""The house in figures: `python -m tests.house` prints each measure of `lib` beside its aim.

Sizes are counted from the source, so that a reader can count them again. Lines are those of `wc -l`.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

PROJECT_ROOT = Path(__file__).parents[1]
LIB = PROJECT_ROOT / "lib"
CODE = re.compile(r"`[^`]*`|^ {4}.*$", re.MULTILINE)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\n+")
HANGS = re.compile(r"[:;](?=\s)")
READERS = {"read_jsonl", "read_object", "read_text"}
MAY_READ = (
    "run",
    "publish",
    "validate",
    "analyze.tables",
    "evaluate.tables",
    "commands.notebooks",
)  # the last reads the notebooks themselves


def modules() -> dict[str, Path]:
    """Return `llm.ask` -> its file, for each file of lib."""
    return {".".join(path.relative_to(LIB).with_suffix("").parts): path for path in sorted(LIB.rglob("*.py"))}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def entries() -> list[str]:
    """Return what `ls lib` shows, without the map of it."""
    return sorted(path.name for path in LIB.iterdir() if path.name not in ("__pycache__", "__init__.py"))


def notebook_names() -> set[str]:
    """Return the names of lib that the notebooks use; of a module that they import as a whole, each of its names."""
    names: set[str] = set()
    for path in (PROJECT_ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        nodes = [node for cell in cells if cell["cell_type"] == "code" for node in ast.walk(ast.parse("".join(cell["source"])))]
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lib")]
        imported = {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}
        known = {name.removesuffix(".__init__") for name in modules()}
        whole = {name for name, full in imported.items() if full.removeprefix("lib.") in known}
        names |= {full for name, full in imported.items() if name not in whole}
        for node in nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in whole:
                names.add(f"{imported[node.value.id]}.{node.attr}")
    return names


def long_modules(most: int = 200) -> dict[str, int]:
    """Return the modules of more than `most` lines, with their lines."""
    return {name: count for name, path in modules().items() if (count := lines_of(path)) > most}


def lines_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def with_many_positionals(most: int = 2) -> list[str]:
    """Return the functions that take more than `most` arguments by position, `self` and `cls` aside."""
    found = []
    for name, path in modules().items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = [one.arg for one in (*node.args.posonlyargs, *node.args.args) if one.arg not in ("self", "cls")]
                if len(arguments) > most:
                    found.append(f"{name}.{node.name}")
    return found


def readers() -> list[str]:
    """Return the modules that read files of a run by themselves, besides those whose work it is."""
    found = []
    for name, path in modules().items():
        imported = {
            a.name for n in ast.walk(tree_of(path)) if isinstance(n, ast.ImportFrom) and "lib.run" in (n.module or "") for a in n.names
        }
        if imported & READERS and not name.startswith(MAY_READ):
            found.append(name)
    return found


def docstring_sentences() -> Iterator[tuple[str, str]]:
    """Yield each sentence of each docstring, code left out, with its module."""
    for name, path in modules().items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node)):
                yield from ((name, part) for part in SENTENCE_END.split(CODE.sub("x", text)) if part.strip())


def hanging_share() -> float:
    """Return the share (0..1) of docstring sentences that hold a colon or a semicolon."""
    sentences = [sentence for _, sentence in docstring_sentences()]
    return sum(HANGS.search(sentence) is not None for sentence in sentences) / len(sentences)


def lines_in_all() -> int:
    return sum(map(lines_of, modules().values()))


def main() -> None:
    rows = (
        ("entries in `ls lib`", len(entries()), "≤ 15", ""),
        ("names that notebooks import from lib", len(notebook_names()), "≤ 35", ""),
        ("modules over 200 lines", len(long_modules()), "0", ", ".join(f"{name} {count}" for name, count in long_modules().items())),
        ("functions with more than 2 positional arguments", len(with_many_positionals()), "0", ", ".join(with_many_positionals())),
        ("other modules that read a run's files", len(readers()), "0", ", ".join(readers())),
        ("docstring sentences with a colon or semicolon", f"{hanging_share():.0%}", "< 15 %", ""),
        ("lines in all", f"{lines_in_all():,}", "≤ 6,200", ""),
    )
    for measure, value, aim, which in rows:
        print(f"{measure:<50} {value!s:>7}   aim {aim}")
        if which:
            print(f"    {which}")


if __name__ == "__main__":
    main()
