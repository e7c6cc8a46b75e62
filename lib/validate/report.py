"""The report on a training file, with its problems, its tokens and what training on it would take."""

from typing import Any, Literal

from lib.errors import counted
from lib.schema import Record

Severity = Literal["error", "warning"]
MIN_EXAMPLES = 10  # Source: OpenAI, supervised fine-tuning guide


class Problem(Record):
    line: int  # from 1, or 0 for the whole file
    code: str
    severity: Severity
    message: str  # says what is wrong and what to do

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "file"
        return f"{where:<10}  {self.code:<20}  {'(warning) ' if self.severity == 'warning' else ''}{self.message}"


class Tokens(Record):
    """The tokens of the valid examples. All but `by_role` include what the chat format adds to the texts."""

    total: int
    mean: float
    max: int
    by_role: dict[str, int]
    exact: bool  # false for an estimate


class Training(Record):
    epochs: int
    tokens: int  # of all epochs
    cost_usd: float | None  # None when no price was given


class Report(Record):
    path: str  # the file's name alone
    strict: bool
    valid: bool
    lines: int
    examples: int  # valid ones
    errors: int
    warnings: int
    counts: dict[str, int]  # code -> number of problems
    problems: tuple[Problem, ...]  # the first ones
    tokens: Tokens | None  # None when tokens were not counted
    training: Training | None  # None when tokens were not counted
    system_prompts: int  # different ones
    first_entries: tuple[dict[str, Any], ...]  # the first two valid examples
    bytes: int
    sha256: str

    def summary(self) -> str:
        """Return two to six lines for a person."""
        form = "strict" if self.strict else "general"
        lines = [
            f"{self.path}: {self._state()} ({form} form), errors: {self.errors:,}, warnings: {self.warnings:,}",
            f"{self.bytes / 1e6:,.2f} MB; lines: {self.lines:,}, examples: {self.examples:,}, system prompts: {self.system_prompts:,}",
        ]
        if self.examples and self.tokens and self.training:
            how = "counted with o200k" if self.tokens.exact else "ESTIMATED"
            price = self.training.cost_usd
            cost = "multiply by your trainer's price" if price is None else f"${price:,.2f}"
            lines += [
                f"tokens: {self.tokens.total:,}, mean {self.tokens.mean:,.0f}, longest {self.tokens.max:,} ({how})",
                "tokens by role: " + ", ".join(f"{role} {count:,}" for role, count in self.tokens.by_role.items()),
                f"training: {counted(self.training.epochs, 'epoch')}, {self.training.tokens:,} tokens; {cost}",
            ]
        if self.counts:
            lines.append("problems: " + ", ".join(f"{count:,} × {code}" for code, count in self.counts.items()))
        return "\n".join(lines)

    def _state(self) -> str:
        if not self.lines:
            return "EMPTY"
        few = [problem.severity for problem in self.problems if problem.code == "too_few_examples"]
        if few and self.errors == few.count("error"):
            return f"every line is valid, but OpenAI wants at least {MIN_EXAMPLES} examples"
        return "valid" if self.valid else "NOT VALID"


def usual_epochs(examples: int) -> int:
    """Return three, or more for few examples, or fewer for very many. Source: OpenAI cookbook, chat fine-tuning data preparation."""
    if examples * 3 < 100:
        return min(25, 100 // max(1, examples))
    return max(1, min(3, 25_000 // examples))


def training_of(tokens: Tokens, examples: int, *, epochs: int, usd_per_mtok: float | None) -> Training:
    """Return what training on `examples` takes. With 0 `epochs` it takes as many as OpenAI would choose."""
    epochs = epochs or usual_epochs(examples)
    cost_usd = None if usd_per_mtok is None else round(tokens.total * epochs * usd_per_mtok / 1e6, 4)
    return Training(epochs=epochs, tokens=tokens.total * epochs, cost_usd=cost_usd)
