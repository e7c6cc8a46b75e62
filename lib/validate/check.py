"""Check any JSONL file line by line, and count its tokens. Of a line that was read only hashes stay in memory.

Source of the limits: OpenAI, supervised fine-tuning guide.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from lib.errors import KitError
from lib.validate.chat_format import checked_line, texts_by_role
from lib.validate.jsonl import WARNINGS, Flaw, has_error, json_object, lines_of
from lib.validate.plain_line import Turn, canonical_form, plain_turns
from lib.validate.report import MIN_EXAMPLES, Problem, Report, Severity, Tokens, training_of
from lib.validate.tokens import TokenCounter, o200k_counter

MAX_FILE_BYTES = 512_000_000
MAX_TOKENS = 65_536  # of an example
BUFFER_BYTES = 1 << 18  # large, because every read may have to wait for the thread that computes the digest
TOKENS_A_MESSAGE, TOKENS_AN_EXAMPLE = 3, 3  # what the chat format adds. Source: OpenAI cookbook, how to count tokens with tiktoken
SYSTEM_ROLES = ("system", "developer")
FEW = {"empty_file", "too_few_examples"}


class TrainingFileError(KitError):
    """Raised when a training file can't be read, or has errors where it must have none."""


def validate_file(
    path: Path,
    *,
    strict: bool = True,
    few_is: Severity = "error",
    shown: int = 50,
    count_tokens: bool = True,
    counter: TokenCounter | None = None,
    epochs: int = 0,
    usd_per_mtok: float | None = None,
) -> Report:
    """Check `path` in one pass, and return a report with the first `shown` problems. Raises TrainingFileError when it can't be read.

    `few_is` is the severity of too few examples. `counter` is o200k's unless another one is given.
    With 0 `epochs`, the report assumes as many as OpenAI would choose. `usd_per_mtok` is a trainer's price of a million tokens.
    """
    chosen = counter or o200k_counter() if count_tokens else None
    tally = _Tally(strict, shown=shown, counter=chosen, warnings=WARNINGS | FEW if few_is == "warning" else WARNINGS)
    try:
        if path.exists() and not path.is_file():
            raise TrainingFileError(f"{path} is not a file: give the .jsonl file itself.")
        with path.open("rb", buffering=BUFFER_BYTES) as file, path.open("rb") as again, ThreadPoolExecutor(1) as beside:
            digest = beside.submit(hashlib.file_digest, again, "sha256")
            for line in lines_of(file):
                tally.add(line)
            size, sha256 = file.tell(), digest.result().hexdigest()
    except OSError as error:
        raise TrainingFileError(f"{path} can't be read ({error.strerror}): check its name and permissions.") from None
    tally.note(0, _file_flaws(path, size=size, tally=tally))
    tokens = tally.tokens()
    training = training_of(tokens, tally.examples, epochs=epochs, usd_per_mtok=usd_per_mtok) if tokens else None
    return tally.report(path=path.name, tokens=tokens, training=training, bytes=size, sha256=sha256)


def require_valid(report: Report) -> None:
    """Raise TrainingFileError when the report has errors, so that a notebook or `make` stops there."""
    if report.valid:
        return
    first = next((problem for problem in report.problems if problem.severity == "error"), None)
    where = f" The first is {' '.join(str(first).split())}" if first else ""
    raise TrainingFileError(f"{report.path} is not valid (errors: {report.errors:,}).{where}")


def _file_flaws(path: Path, *, size: int, tally: "_Tally") -> Iterator[Flaw]:
    if path.suffix != ".jsonl":
        yield "wrong_ending", f"The name ends in {path.suffix!r}: trainers want .jsonl, one JSON object a line (renaming converts nothing)."
    if size > MAX_FILE_BYTES:
        yield "too_large", f"The file has {size / 1e6:,.0f} MB, and {MAX_FILE_BYTES / 1e6:.0f} MB are allowed: split it."
    if not tally.lines:
        yield "empty_file", "The file is empty: generate examples first."
    elif tally.examples < MIN_EXAMPLES:
        yield "too_few_examples", f"OpenAI wants at least {MIN_EXAMPLES} examples, and {tally.examples} of the file are valid: add more."


@dataclass(slots=True)
class _Tally:
    """What is known after the lines so far. Only the hashes grow with the file, by 64 bits and a line number an example."""

    strict: bool
    shown: int
    counter: TokenCounter | None
    warnings: Set[str]  # codes
    lines: int = 0
    examples: int = 0  # valid ones
    total: int = 0  # tokens
    longest: int = 0  # tokens
    by_role: Counter[str] = field(default_factory=Counter)  # tokens
    errors: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # code -> number of problems
    problems: list[Problem] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    line_of: dict[int, int] = field(default_factory=dict)  # hash of an example -> its first line
    line_of_prompt: dict[int, int] = field(default_factory=dict)  # hash of a system prompt -> its first line

    def add(self, line: bytes) -> None:
        """Check the next line, and count its example when it has no error."""
        self.lines += 1
        if plain := plain_turns(line, strict=self.strict):
            self._add_example(plain[0], messages=len(plain[0]), form=plain[1], line=line)
            return
        example, flaws = checked_line(line, strict=self.strict)
        self.note(self.lines, flaws)
        if example is not None:
            turns = [Turn(*pair) for pair in texts_by_role(example)]
            self._add_example(turns, messages=len(example["messages"]), form=canonical_form(example), line=line)

    def note(self, line: int, flaws: Iterable[Flaw]) -> None:
        """Count flaws, and keep the first ones. Those of the whole file (line 0) are always kept."""
        for code, message in flaws:
            severity: Severity = "warning" if code in self.warnings else "error"
            self.counts[code] += 1
            self.errors += severity == "error"
            if line == 0 or len(self.problems) < self.shown:
                self.problems.append(Problem(line=line, code=code, severity=severity, message=message))

    def tokens(self) -> Tokens | None:
        if not self.counter:
            return None
        mean = round(self.total / self.examples, 2) if self.examples else 0.0
        return Tokens(total=self.total, mean=mean, max=self.longest, by_role=dict(self.by_role), exact=self.counter.exact)

    def report(self, **rest: Any) -> Report:
        """Return the report. `rest` holds the fields that a tally does not know."""
        return Report(
            strict=self.strict,
            valid=self.errors == 0,
            lines=self.lines,
            examples=self.examples,
            errors=self.errors,
            warnings=self.counts.total() - self.errors,
            counts=dict(self.counts.most_common()),
            problems=tuple(sorted(self.problems, key=lambda problem: problem.line)[: self.shown]),
            system_prompts=len(self.line_of_prompt),
            first_entries=tuple(self.entries),
            **rest,
        )

    def _add_example(self, turns: list[Turn], *, messages: int, form: bytes, line: bytes) -> None:
        """Compare a right example with all before it and, when it has no error there either, count it."""
        counts = [_tokens_of(turn, self.counter) for turn in turns] if self.counter else []
        tokens = sum(counts) + TOKENS_A_MESSAGE * messages + TOKENS_AN_EXAMPLE if counts else 0
        flaws = list(self._flaws_among_others(turns, tokens=tokens, form=form))
        self.note(self.lines, flaws)
        if has_error(flaws):
            return
        self.examples += 1
        self.total += tokens
        self.longest = max(self.longest, tokens)
        for turn, count in zip(turns, counts, strict=False):  # `counts` is empty where tokens are not counted
            self.by_role[turn.role] += count
        if len(self.entries) < 2:
            self.entries.append(json_object(line))

    def _flaws_among_others(self, turns: list[Turn], *, tokens: int, form: bytes) -> Iterator[Flaw]:
        for prompt in [hash(turn.content) for turn in turns if turn.role in SYSTEM_ROLES]:
            self.line_of_prompt.setdefault(prompt, self.lines)
            first, first_line = next(iter(self.line_of_prompt.items()))
            if self.strict and prompt != first:
                yield "system_prompt_differs", f"The system prompt is not that of line {first_line}: use one throughout."
        before = self.line_of.setdefault(hash(form), self.lines)
        if before != self.lines:
            yield "duplicate", f"The example repeats line {before}: remove one, or it is learnt twice."
        if tokens > MAX_TOKENS:
            yield "too_many_tokens", f"The example has {tokens:,} tokens, and {MAX_TOKENS:,} are allowed: shorten it."


def _tokens_of(turn: Turn, counter: TokenCounter) -> int:
    return _tokens_of_prompt(turn.content, counter) if turn.role in SYSTEM_ROLES else counter.count(turn.content)


@lru_cache(maxsize=1)  # because nearly all examples share one system prompt
def _tokens_of_prompt(prompt: str, counter: TokenCounter) -> int:
    return counter.count(prompt)
