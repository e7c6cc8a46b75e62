"""The result of trying an edited prompt, which is a few samples before and after the edit."""

from dataclasses import dataclass
from typing import Any

from lib.errors import counted
from lib.schema import Evaluation, Sample


@dataclass(frozen=True, slots=True)
class Answered:
    """A response with the judge's evaluation of it, and whether it would be kept."""

    response: str
    evaluation: Evaluation
    is_kept: bool

    @property
    def met(self) -> str:
        verdicts = self.evaluation.verdicts
        return f"{sum(verdict.met for verdict in verdicts)} of {len(verdicts)}"


@dataclass(frozen=True, slots=True)
class Tried:
    """A sample as it was answered before the edit, and after it."""

    sample: Sample
    before: Answered
    after: Answered


@dataclass(frozen=True, slots=True)
class Trial:
    """What an edit does to a few samples."""

    prompt: str
    tried: tuple[Tried, ...]
    failed: int
    cost_usd: float
    notebook: str  # where they are shown side by side

    def __str__(self) -> str:
        before, after = (sum(one.is_kept for one in each) for each in ([t.before for t in self.tried], [t.after for t in self.tried]))
        failed = f", {counted(self.failed, 'sample')} failed" if self.failed else ""
        return (
            f"{counted(len(self.tried), 'sample')} with the edited {self.prompt} prompt: {before} would be kept before, {after} after it "
            f"(${self.cost_usd:.2f}{failed}). So few samples show how the prompt reads, not whether it is better. To measure that, make "
            "another run with SCENARIOS_FROM, and compare the two. They stand side by side in notebook 02 "
            f"({self.notebook} after a headless run)."
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return the samples as rows of a table."""
        return [
            {"id": one.sample.id, "criteria met before": one.before.met, "after": one.after.met}
            | {"quality before": one.before.evaluation.quality_score, "quality after": one.after.evaluation.quality_score}
            | {"kept before": _yes(one.before.is_kept), "kept after": _yes(one.after.is_kept)}
            for one in self.tried
        ]


def _yes(is_kept: bool) -> str:
    return "yes" if is_kept else "no"
