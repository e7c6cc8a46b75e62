"""Any JSONL file -> what is wrong with it, line by line, and its tokens. Of a line that was read only hashes are kept.

Source of the limits: OpenAI, supervised fine-tuning guide.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lib.errors import KitError
from lib.validate.chat_format import Example, checked_line, texts_by_role
from lib.validate.jsonl import WARNINGS, Flaw, has_error, json_object, lines_of
from lib.validate.plain_line import Turn, canonical_of, plain_turns
from lib.validate.report import Problem, Report, Severity, Tokens, Training, training_of
from lib.validate.tokens import TokenCounter, o200k_counter

MAX_FILE_BYTES = 512_000_000
BUFFER_BYTES = 1 << 18  # the digest is taken in a thread beside, and every read may have to wait for it
TOKENS_A_MESSAGE, TOKENS_AN_EXAMPLE = 3, 3  # what the chat format adds. Source: OpenAI cookbook, how to count tokens with tiktoken
SYSTEM_ROLES = ("system", "developer")
FEW = {"empty_file", "too_few_examples"}


class TrainingFileError(KitError):
    """The file can't be read at all."""


def validate_file(
    path: Path,
    *,
    strict: bool = True,
    min_examples: int = 10,
    few_is: Severity = "error",
    shown: int = 50,
    max_tokens: int = 65_536,
    count_tokens: bool = True,
    epochs: int = 0,
    usd_per_mtok: float | None = None,
    counter: TokenCounter | None = None,
) -> Report:
    """Check `path` in one pass. Raises TrainingFileError when the file can't be read.

    `counter`: o200k's unless given. `epochs`: 0 for as many as OpenAI would choose. `usd_per_mtok`: a trainer's price of a million tokens.
    """
    counter = counter or o200k_counter() if count_tokens else None
    tally = _Tally(strict, shown, max_tokens, counter, WARNINGS | (FEW if few_is == "warning" else set()))
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
    tally.note(0, _file_flaws(path, size, tally, min_examples))
    tokens = tally.tokens()
    training = training_of(tally.examples, tokens, epochs=epochs, usd_per_mtok=usd_per_mtok) if tokens else None
    return tally.report(path, tokens=tokens, training=training, size=size, sha256=sha256)


def require_valid(report: Report) -> None:
    """Raise TrainingFileError when the report has errors: a notebook, and `make`, must not go on as if it had none."""
    if report.valid:
        return
    first = next((problem for problem in report.problems if problem.severity == "error"), None)
    where = f" First: line {first.line}, {first.code}: {first.message}" if first else ""
    raise TrainingFileError(f"{report.path} has {report.errors:,} errors.{where}")


def _file_flaws(path: Path, size: int, tally: "_Tally", min_examples: int) -> Iterator[Flaw]:
    if path.suffix != ".jsonl":
        yield "wrong_ending", f"The name ends in {path.suffix!r}: trainers want .jsonl, one JSON object a line (renaming converts nothing)."
    if size > MAX_FILE_BYTES:
        yield "too_large", f"The file has {size / 1e6:,.0f} MB, and {MAX_FILE_BYTES / 1e6:.0f} MB are allowed: split it."
    if not tally.lines:
        yield "empty_file", "The file is empty: generate examples first."
    elif tally.examples < min_examples:
        yield "too_few_examples", f"Of {min_examples} valid examples that a trainer needs the file has {tally.examples}: add more."


@dataclass(slots=True)
class _Tally:
    """What is known after the lines so far. Only the hashes grow with the file: 64 bits and a line number an example."""

    strict: bool
    shown: int
    max_tokens: int
    counter: TokenCounter | None
    warning_codes: Set[str]
    lines: int = 0
    examples: int = 0
    total: int = 0
    longest: int = 0
    by_role: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    entries: list[Example] = field(default_factory=list)
    line_of: dict[int, int] = field(default_factory=dict)
    line_of_prompt: dict[int, int] = field(default_factory=dict)
    first_prompt: int | None = None
    last_prompt: tuple[str, int] = ("", 0)

    def add(self, line: bytes) -> None:
        self.lines += 1
        if plain := plain_turns(line, strict=self.strict):
            turns, form = plain
            self._add_example(turns, messages=len(turns), form=form, line=line)
            return
        example, flaws = checked_line(line, strict=self.strict)
        self.note(self.lines, flaws)
        if example is not None:
            form = canonical_of(example) or json.dumps(example, sort_keys=True).encode()
            self._add_example([Turn(*pair) for pair in texts_by_role(example)], messages=len(example["messages"]), form=form, line=line)

    def note(self, line: int, flaws: Iterable[Flaw]) -> None:
        """Count flaws; keep the first ones, and those of the whole file (line 0) in any case."""
        for code, message in flaws:
            self.counts[code] += 1
            if line == 0 or len(self.problems) < self.shown:
                self.problems.append(Problem(line=line, code=code, severity=self._severity(code), message=message))

    def report(self, path: Path, *, tokens: Tokens | None, training: Training | None, size: int, sha256: str) -> Report:
        errors = sum(count for code, count in self.counts.items() if self._severity(code) == "error")
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
            tokens=tokens,
            training=training,
            system_prompts=len(self.line_of_prompt),
            first_entries=tuple(self.entries),
            bytes=size,
            sha256=sha256,
        )

    def tokens(self) -> Tokens | None:
        if not self.counter:
            return None
        mean = round(self.total / self.examples, 2) if self.examples else 0.0
        return Tokens(total=self.total, mean=mean, max=self.longest, by_role=dict(self.by_role), exact=self.counter.exact)

    def _add_example(self, turns: list[Turn], *, messages: int, form: bytes, line: bytes) -> None:
        """Compare a right example with all before it and, when it has no error there either, count it."""
        counts = [self._count(turn) for turn in turns] if self.counter else []
        tokens = sum(counts) + TOKENS_A_MESSAGE * messages + TOKENS_AN_EXAMPLE if counts else 0
        if flaws := self._flaws_among_others(turns, tokens, form):
            self.note(self.lines, flaws)
            if has_error(flaws):
                return
        self.examples += 1
        self.total += tokens
        self.longest = max(self.longest, tokens)
        for turn, count in zip(turns, counts, strict=False):  # there are none where tokens are not counted
            self.by_role[turn.role] += count
        if len(self.entries) < 2:
            self.entries.append(json_object(line))

    def _count(self, turn: Turn) -> int:
        """Count tokens; a system prompt's only when it is not that of the example before."""
        assert self.counter
        if turn.role not in SYSTEM_ROLES:
            return self.counter.count(turn.content)
        if turn.content != self.last_prompt[0]:
            self.last_prompt = turn.content, self.counter.count(turn.content)
        return self.last_prompt[1]

    def _flaws_among_others(self, turns: list[Turn], tokens: int, form: bytes) -> list[Flaw]:
        flaws: list[Flaw] = []
        for turn in turns:
            if turn.role in SYSTEM_ROLES and hash(turn.content) != self.first_prompt:
                flaws += self._prompt_flaws(turn.content)
        before = self.line_of.setdefault(hash(form), self.lines)
        if before != self.lines:
            flaws.append(("duplicate", f"The example repeats line {before}: remove one, or it is learnt twice."))
        if tokens > self.max_tokens:
            flaws.append(("too_many_tokens", f"The example has {tokens:,} tokens, and {self.max_tokens:,} are allowed: shorten it."))
        return flaws

    def _prompt_flaws(self, text: str) -> Iterator[Flaw]:
        self.line_of_prompt.setdefault(hash(text), self.lines)
        self.first_prompt, first_line = next(iter(self.line_of_prompt.items()))
        if self.strict and hash(text) != self.first_prompt:
            yield "system_prompt_differs", f"The system prompt is not that of line {first_line}: use one throughout."

    def _severity(self, code: str) -> Severity:
        return "warning" if code in self.warning_codes else "error"
