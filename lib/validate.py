"""Any JSONL file -> what is wrong with it, line by line, and its tokens. Of a line that was read only digests are kept.

    python -m lib.validate FILE [--report out.json] [--general]

Exit code 1: the file has errors. 2: it can't be read. Source of the limits: OpenAI, supervised fine-tuning guide.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lib.chat_format import Example, checked_line, texts_by_role
from lib.errors import KitError
from lib.jsonl import WARNINGS, Flaw, has_error, lines_of
from lib.run import write_json
from lib.schema import Record
from lib.settings import from_root
from lib.tokens import TokenCounter, o200k_counter

MAX_FILE_BYTES = 512_000_000
TOKENS_A_MESSAGE, TOKENS_AN_EXAMPLE = 3, 3  # what the chat format adds. Source: OpenAI cookbook, how to count tokens with tiktoken
SYSTEM_ROLES = ("system", "developer")
FEW = {"empty_file", "too_few_examples"}

Severity = Literal["error", "warning"]


class TrainingFileError(KitError):
    """The file can't be read at all."""


class Problem(Record):
    """`line` counts from 1; 0 is the whole file. `message` says what is wrong and what to do."""

    line: int
    code: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "file"
        return f"{where:<10}  {self.code:<20}  {'(warning) ' if self.severity == 'warning' else ''}{self.message}"


class Tokens(Record):
    """Of the valid examples. `by_role` counts their texts; `total`, `mean` and `max` also what the chat format adds to them."""

    total: int
    mean: float
    max: int
    by_role: dict[str, int]
    exact: bool


class Report(Record):
    """`path` is the file's name; `examples` and `first_entries` are valid ones; `counts` has every problem, `problems` the first ones."""

    path: str
    strict: bool
    valid: bool
    lines: int
    examples: int
    errors: int
    warnings: int
    counts: dict[str, int]
    problems: tuple[Problem, ...]
    tokens: Tokens
    system_prompts: int
    first_entries: tuple[Example, ...]
    bytes: int
    sha256: str

    def summary(self) -> str:
        """Return two to five lines for a person."""
        form, how = "strict" if self.strict else "general", "counted with o200k" if self.tokens.exact else "ESTIMATED"
        lines = [
            f"{self.path}: {'valid' if self.valid else 'NOT VALID'} ({form} form), errors: {self.errors:,}, warnings: {self.warnings:,}",
            f"{self.bytes / 1e6:,.2f} MB; lines: {self.lines:,}, examples: {self.examples:,}, system prompts: {self.system_prompts:,}",
        ]
        if self.examples:
            lines.append(f"tokens: {self.tokens.total:,}, mean {self.tokens.mean:,.0f}, longest {self.tokens.max:,} ({how})")
            lines.append("tokens by role: " + ", ".join(f"{role} {count:,}" for role, count in self.tokens.by_role.items()))
        if self.counts:
            lines.append("problems: " + ", ".join(f"{count:,} × {code}" for code, count in self.counts.items()))
        return "\n".join(lines)


def validate_file(
    path: Path,
    *,
    strict: bool = True,
    min_examples: int = 10,
    few_is: Severity = "error",
    shown: int = 50,
    max_tokens: int = 65_536,
    counter: TokenCounter | None = None,
) -> Report:
    """Check `path` in one pass. `counter`: o200k's unless given. Raises TrainingFileError when the file can't be read."""
    sha256 = hashlib.sha256()
    try:
        if path.exists() and not path.is_file():
            raise TrainingFileError(f"{path} is not a file: give the .jsonl file itself.")
        with path.open("rb") as file:
            tally = _Tally(strict, shown, max_tokens, counter or o200k_counter(), WARNINGS | (FEW if few_is == "warning" else set()))
            for line in lines_of(file, sha256.update):
                tally.add(line)
            size = file.tell()
    except OSError as error:
        raise TrainingFileError(f"{path} can't be read ({error.strerror}): check its name and permissions.") from None
    tally.note(0, _file_flaws(path, size, tally, min_examples))
    return tally.report(path, size=size, sha256=sha256.hexdigest())


def require_valid(report: Report) -> None:
    """Raise TrainingFileError when the report has errors: a notebook, and `make`, must not go on as if it had none."""
    if report.valid:
        return
    first = next((problem for problem in report.problems if problem.severity == "error"), None)
    where = f" First: line {first.line}, {first.code}: {first.message}" if first else ""
    raise TrainingFileError(f"{report.path} has {report.errors:,} errors.{where}")


def _file_flaws(path: Path, size: int, tally: "_Tally", min_examples: int) -> Iterator[Flaw]:
    if path.suffix != ".jsonl":
        yield "wrong_ending", f"The name ends in {path.suffix!r}: rename the file to end in .jsonl."
    if size > MAX_FILE_BYTES:
        yield "too_large", f"The file has {size / 1e6:,.0f} MB, and {MAX_FILE_BYTES / 1e6:.0f} MB are allowed: split it."
    if not tally.lines:
        yield "empty_file", "The file is empty: generate examples first."
    elif tally.examples < min_examples:
        yield "too_few_examples", f"Of {min_examples} valid examples that a trainer needs the file has {tally.examples}: add more."


@dataclass(slots=True)
class _Tally:
    """What is known after the lines so far. Only the digests grow with the file: 16 bytes and a line number an example."""

    strict: bool
    shown: int
    max_tokens: int
    counter: TokenCounter
    warning_codes: Set[str]
    lines: int = 0
    examples: int = 0
    total: int = 0
    longest: int = 0
    by_role: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    entries: list[Example] = field(default_factory=list)
    line_of: dict[bytes, int] = field(default_factory=dict)
    line_of_prompt: dict[bytes, int] = field(default_factory=dict)

    def add(self, line: bytes) -> None:
        self.lines += 1
        example, flaws = checked_line(line, strict=self.strict)
        self.note(self.lines, flaws)
        if example is not None:
            self._add_example(example)

    def note(self, line: int, flaws: Iterable[Flaw]) -> None:
        """Count flaws; keep the first ones, and those of the whole file (line 0) in any case."""
        for code, message in flaws:
            self.counts[code] += 1
            if line == 0 or len(self.problems) < self.shown:
                self.problems.append(Problem(line=line, code=code, severity=self._severity(code), message=message))

    def report(self, path: Path, *, size: int, sha256: str) -> Report:
        errors = sum(count for code, count in self.counts.items() if self._severity(code) == "error")
        mean = round(self.total / self.examples, 2) if self.examples else 0.0
        return Report(
            path=path.name,
            strict=self.strict,
            valid=errors == 0,
            lines=self.lines,
            examples=self.examples,
            errors=errors,
            warnings=self.counts.total() - errors,
            counts=dict(self.counts.most_common()),
            problems=tuple(sorted(self.problems, key=lambda problem: problem.line)[: self.shown]),
            tokens=Tokens(total=self.total, mean=mean, max=self.longest, by_role=dict(self.by_role), exact=self.counter.exact),
            system_prompts=len(self.line_of_prompt),
            first_entries=tuple(self.entries),
            bytes=size,
            sha256=sha256,
        )

    def _add_example(self, example: Example) -> None:
        """Compare a right example with all before it and, when it has no error there either, count it."""
        by_role: Counter[str] = Counter()
        for role, text in texts_by_role(example):
            by_role[role] += self.counter.count(text)
        tokens = by_role.total() + TOKENS_A_MESSAGE * len(example["messages"]) + TOKENS_AN_EXAMPLE
        flaws = [*self._prompt_flaws(example), *self._duplicate_flaws(example)]
        if tokens > self.max_tokens:
            flaws.append(("too_many_tokens", f"The example has {tokens:,} tokens, and {self.max_tokens:,} are allowed: shorten it."))
        self.note(self.lines, flaws)
        if has_error(flaws):
            return
        self.examples += 1
        self.total += tokens
        self.longest = max(self.longest, tokens)
        self.by_role.update(by_role)
        if len(self.entries) < 2:
            self.entries.append(example)

    def _prompt_flaws(self, example: Example) -> Iterator[Flaw]:
        for text in (text for role, text in texts_by_role(example) if role in SYSTEM_ROLES):
            self.line_of_prompt.setdefault(_digest(text), self.lines)
            first = next(iter(self.line_of_prompt))
            if self.strict and _digest(text) != first:
                yield "system_prompt_differs", f"The system prompt is not that of line {self.line_of_prompt[first]}: use one throughout."

    def _duplicate_flaws(self, example: Example) -> Iterator[Flaw]:
        before = self.line_of.setdefault(_digest(json.dumps(example, sort_keys=True)), self.lines)
        if before != self.lines:
            yield "duplicate", f"The example repeats line {before}: remove one, or it is learnt twice."

    def _severity(self, code: str) -> Severity:
        return "warning" if code in self.warning_codes else "error"


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report of a file; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lib.validate", description="Check a training file in the OpenAI chat format.")
    parser.add_argument("file", type=Path, help="the .jsonl file; relative to the current folder, else to the project's root")
    parser.add_argument("--report", type=Path, help="write the report there as JSON")
    parser.add_argument("--general", action="store_true", help="anybody's chat format: several turns, tools, weights, no system prompt")
    options = parser.parse_args(arguments)
    try:
        path = options.file if options.file.exists() else from_root(str(options.file))
        if options.report and options.report.resolve() == path.resolve():
            raise TrainingFileError(f"{path} is the file to be checked: write the report to another name.")
        report = validate_file(path, strict=not options.general)
        if options.report:
            write_json(options.report, report.model_dump(mode="json"))
    except (KitError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(report.summary())
    for problem in report.problems:
        print(problem)
    if more := report.errors + report.warnings - len(report.problems):
        print(f"... and {more:,} more")
    return 0 if report.valid else 1


if __name__ == "__main__":
    sys.exit(main())
