"""The result of a pass over a run's folder: its summary line, its failures, and its section of the manifest."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lib.errors import KitError, counted
from lib.llm.ledger import ledger
from lib.run.manifest import update_manifest
from lib.run.run import Run, write_parameters
from lib.schema import Failure

ADVICE = {  # by the reason why calls failed
    "over_budget": "Raise BUDGET_USD, or this will happen again. ",
    "truncated": "Raise MAX_TOKENS, or lower the effort, first. ",
    "refusal": "A refused prompt is never sent again unchanged, so change the prompt or the model first. ",
    "rejected": "The provider will not take these requests as they are, so change what it objects to first. ",
}


KEPT = "The files of the pass before hold more samples and were left as they are. "


class RunFailed(KitError):
    """Too few calls succeeded, or the run was interrupted. Paid replies are safe, and running again asks only for the rest."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The result of a pass, where total = done + dropped + failures."""

    verb: str
    total: int
    done: int
    failures: tuple[Failure, ...]
    asked: int  # calls that were sent
    replayed: int  # replies from the journal
    cost_usd: float  # of the whole run so far
    seconds: float
    provider: str
    notice: str  # of the embedded model, which belongs into every record
    remarks: tuple[str, ...]  # what a person should know
    is_embedded: bool = False
    keeps_files: bool = False  # true when the pass fell short, and the files of an earlier pass, which hold more, were left as they are
    dropped: Mapping[str, int] = field(default_factory=dict)  # scenarios that the verifier dropped, by reason; they are no failures
    note: str = ""  # a harmless addition to the summary line

    def __str__(self) -> str:
        reused = f", {self.replayed:,} replies reused" if self.replayed else ""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in Counter(self.dropped).most_common())
        dropped = f", {sum(self.dropped.values()):,} dropped by the verifier ({reasons})" if reasons else ""
        counts = f"{self.done:,} of {counted(self.total, 'sample')} {self.verb}{dropped}, {len(self.failures):,} failed"
        cost = f"{self.seconds:.0f} s; the run has cost ${self.cost_usd:.2f} so far"
        return f"{counts}; {counted(self.asked, 'call')}{reused}; {cost}{f'; {self.note}' if self.note else ''}"

    def rows(self) -> list[dict[str, Any]]:
        """Return what failed or was dropped, by stage and reason, as rows of a table."""
        counts = Counter((failure.stage, failure.reason) for failure in self.failures)
        counts.update({("verify", reason): count for reason, count in self.dropped.items()})
        return [{"stage": stage, "reason": reason, "samples": count} for (stage, reason), count in counts.most_common()]

    def require_enough(self, run: Run) -> "Tally":
        """Return this tally. Raises RunFailed when fewer than `min_call_success` succeeded. Drops by the filter never count here."""
        wanted = self.total - sum(self.dropped.values())
        if self.done >= run.settings.min_call_success * wanted and (self.done or not self.dropped):
            return self
        if not self.failures:
            raise RunFailed(f"The verifier dropped all {self.total:,} scenarios ({', '.join(self.dropped)}): read {run.dropped_scenarios}.")
        reasons = ", ".join(f"{count} × {reason}" for reason, count in Counter(one.reason for one in self.failures).most_common(3))
        first = self.failures[0]
        raise RunFailed(
            f"Only {self.done:,} of {wanted:,} samples could be {self.verb} ({reasons}). "
            f"First: {first.id}, {first.stage}: {first.detail}. "
            f"All are in failures.jsonl. {KEPT if self.keeps_files else ''}{ADVICE.get(first.reason, '')}"
            "Running again asks for the missing ones only."
        )

    def record(self, run: Run, section: str, **more: Any) -> None:
        """Write the pass into the manifest, and the run's settings beside it."""
        update_manifest(run, section, values=more | self.section(run))
        write_parameters(run)

    def section(self, run: Run) -> dict[str, Any]:
        """Return what the manifest holds of the pass."""
        return {
            "settings": run.settings.model_dump(mode="json"),
            "counts": {"total": self.total, "done": self.done, "failed": len(self.failures), "dropped": sum(self.dropped.values())},
            "calls": {"asked": self.asked, "replayed": self.replayed},
            "provider": self.provider,
            "notice": self.notice,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "ledger": ledger_rows(run),
        }


def ledger_rows(run: Run) -> list[dict[str, object]]:
    """Return what was paid so far, by stage and model, with tokens and US dollars."""
    return [
        {
            "stage": line.stage,
            "model": line.model,
            "calls": line.calls,
            "input_tokens": line.usage.input,
            "output_tokens": line.usage.output,
            "cache_read_tokens": line.usage.cache_read,
            "cache_write_tokens": line.usage.cache_write,
            "cost_usd": round(line.cost_usd, 6),
        }
        for line in ledger(run.journal)
    ]
