"""A run's ledger -> what was paid, by stage and model, and for a kept sample."""

from dataclasses import dataclass
from typing import Any

from lib.analyze.tables import Tables
from lib.errors import counted
from lib.run.manifest import LedgerLine


@dataclass(frozen=True, slots=True)
class Costs:
    """What the run has cost, by stage and model."""

    lines: tuple[LedgerLine, ...]
    kept: int

    def __str__(self) -> str:
        total = sum(line.cost_usd for line in self.lines)
        if not total:
            return "Nothing was paid."
        each = f", ${total / self.kept:.4f} for each of {counted(self.kept, 'kept sample')}" if self.kept else ""
        return f"${total:.2f} in all{each}"

    def rows(self) -> list[dict[str, Any]]:
        """Return the ledger as rows of a table."""
        return [
            {"stage": line.stage, "model": line.model, "calls": f"{line.calls:,}"}
            | {"input tokens": f"{line.input_tokens:,}", "output tokens": f"{line.output_tokens:,}"}
            | {"cache read": f"{line.cache_read_tokens:,}", "cache write": f"{line.cache_write_tokens:,}"}
            | {"US dollars": f"{line.cost_usd:.2f}"}
            for line in self.lines
        ]


def costs(tables: Tables) -> Costs:
    """Return what was paid, with the replies that were of no use."""
    return Costs(tables.manifest.judging.ledger or tables.manifest.generation.ledger, tables.kept.hits)
