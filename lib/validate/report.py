"""What a checked training file comes to: its problems, its tokens, what training on it would take."""

from typing import Literal

from lib.schema import Record
from lib.validate.chat_format import Example

Severity = Literal["error", "warning"]


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


class Training(Record):
    """What training on the file would take. `cost_usd`: None unless a price was given; none is listed here, since sources differ."""

    epochs: int
    tokens: int
    cost_usd: float | None

    def __str__(self) -> str:
        cost = "multiply by your trainer's price" if self.cost_usd is None else f"${self.cost_usd:,.2f}"
        return f"training: {self.epochs} epochs (--epochs changes that), {self.tokens:,} tokens; {cost}"


class Report(Record):
    """`path` is the file's name; `examples` and `first_entries` are valid ones; `counts` has every problem, `problems` the first ones.

    `tokens` and `training`: None when tokens were not counted.
    """

    path: str
    strict: bool
    valid: bool
    lines: int
    examples: int
    errors: int
    warnings: int
    counts: dict[str, int]
    problems: tuple[Problem, ...]
    tokens: Tokens | None
    training: Training | None
    system_prompts: int
    first_entries: tuple[Example, ...]
    bytes: int
    sha256: str

    def summary(self) -> str:
        """Return two to five lines for a person."""
        form = "strict" if self.strict else "general"
        state = "EMPTY" if not self.lines else "valid" if self.valid else "NOT VALID"
        lines = [
            f"{self.path}: {state} ({form} form), errors: {self.errors:,}, warnings: {self.warnings:,}",
            f"{self.bytes / 1e6:,.2f} MB; lines: {self.lines:,}, examples: {self.examples:,}, system prompts: {self.system_prompts:,}",
        ]
        if self.examples and self.tokens:
            how = "counted with o200k" if self.tokens.exact else "ESTIMATED"
            lines.append(f"tokens: {self.tokens.total:,}, mean {self.tokens.mean:,.0f}, longest {self.tokens.max:,} ({how})")
            lines.append("tokens by role: " + ", ".join(f"{role} {count:,}" for role, count in self.tokens.by_role.items()))
        if self.examples and self.training:
            lines.append(str(self.training))
        if self.counts:
            lines.append("problems: " + ", ".join(f"{count:,} × {code}" for code, count in self.counts.items()))
        return "\n".join(lines)


def usual_epochs(examples: int) -> int:
    """Return three, more for few examples, fewer for very many. Source: OpenAI cookbook, chat fine-tuning data preparation."""
    if examples * 3 < 100:
        return min(25, 100 // max(1, examples))
    return max(1, min(3, 25_000 // examples))


def training_of(examples: int, tokens: Tokens, *, epochs: int, usd_per_mtok: float | None) -> Training:
    epochs = epochs or usual_epochs(examples)
    cost = None if usd_per_mtok is None else round(tokens.total * epochs * usd_per_mtok / 1e6, 4)
    return Training(epochs=epochs, tokens=tokens.total * epochs, cost_usd=cost)
