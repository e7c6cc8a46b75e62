"""A filtered run -> `report.html`, one file that shows its summary and lets people browse every sample, without a network.

Texts are compressed in the page, a hundred samples at a time, and opened by its script when they are shown or searched. Text of a model is
hostile. It is rendered by `markdown`, inserted as text everywhere else, and the page's own policy lets no script run but those that
come with it.
"""

import gzip
import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lib.errors import counted
from lib.publish.page.entries import COLUMNS, Entry, entries
from lib.publish.page.summary import summary_of
from lib.run.files import whole_file
from lib.run.lock import holding
from lib.run.run import Run
from lib.settings import short_path

FOLDER = Path(__file__).parent
SAMPLES_A_CHUNK = 100
KATEX = ("sphinxcontrib-katex", "sphinxcontrib/katex.min.js")  # the package that carries KaTeX, and its file


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was written."""

    path: Path
    samples: int
    scenarios: int
    has_formulas: bool  # typeset, or in LaTeX where KaTeX is not installed

    def __str__(self) -> str:
        size = self.path.stat().st_size / 1e6
        dropped = f" and {counted(self.scenarios, 'dropped scenario')}" if self.scenarios else ""
        bare = "" if katex() or not self.has_formulas else "; formulas are shown as LaTeX, because sphinxcontrib-katex is not installed"
        return f"{short_path(self.path)}: {counted(self.samples, 'sample')}{dropped} to browse, {size:.1f} MB{bare}"


@dataclass(slots=True)
class Chunks:
    """The entries as compressed chunks. What their iteration finds is there after it."""

    entries: Iterable[Entry]
    columns: tuple[str, ...] = COLUMNS
    lines: list[tuple[Any, ...]] = field(default_factory=list)
    has_formulas: bool = False

    def __iter__(self) -> Iterator[str]:
        iterator = iter(self.entries)
        while some := list(islice(iterator, SAMPLES_A_CHUNK)):
            self.lines += [entry.line for entry in some]
            text = json.dumps([entry.texts for entry in some], ensure_ascii=False, separators=(",", ":"))
            self.has_formulas = self.has_formulas or 'class=\\"tex' in text
            yield packed(text)

    @property
    def index(self) -> str:
        return packed(json.dumps({"columns": self.columns, "lines": self.lines}, ensure_ascii=False, separators=(",", ":")))


@holding
def write_page(run: Run) -> Page:
    """Write `report.html`. Raises RunError when the run was not filtered or has changed since."""
    chunks = Chunks(entries(run))
    write_html(run.report, mode="browse", title=run.settings.run, chunks=chunks, summary=summary_of(run))
    scenarios = sum(line[COLUMNS.index("status")] == "scenario dropped" for line in chunks.lines)
    return Page(run.report, len(chunks.lines) - scenarios, scenarios, chunks.has_formulas)


def write_html(path: Path, *, mode: str, title: str, chunks: Any, **values: Any) -> None:
    """Write the page of a mode, "browse" or "review". Memory holds one chunk at a time. Raises RunError."""
    scripts = [source("common.js"), source(f"{mode}.js")]
    typesetter, style = katex(), source("page.css")
    with whole_file(path) as file:
        file.writelines(
            _environment()
            .get_template("page.html.j2")
            .generate(
                mode=mode, title=title, chunks=chunks, scripts=scripts, katex=typesetter, style=style, digest=digest, **values
            )
        )  # fmt: skip


def source(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def katex() -> str:
    """Return the script of KaTeX, or "" when its package is not installed. Sphinx, which the package is made for, is not needed."""
    package, name = KATEX
    try:
        return Path(str(distribution(package).locate_file(name))).read_text("utf-8")
    except (PackageNotFoundError, OSError):
        return ""


def digest(text: str) -> str:
    """Return the digest by which the page's policy knows one of its own scripts or styles. Source: CSP level 3, 2.3.1."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def packed(text: str) -> str:
    """Return the text compressed, as letters. Equal texts give equal letters, whatever the time."""
    return b64encode(gzip.compress(text.encode("utf-8", errors="replace"), mtime=0)).decode()


def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
