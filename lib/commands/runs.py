"""A folder of runs -> a table of them, the last one made first."""

from collections.abc import Iterator

from lib.run.folder import Folder
from lib.run.manifest import Manifest
from lib.run.runs import runs_in
from lib.settings import from_root, settings_of, short_path

COLUMNS = ("run", "made", "samples", "kept", "cost", "written by", "judged by")


def main(words: list[str]) -> int:
    """Print the runs in the folder that OUTPUTS_DIR names."""
    folder = from_root(settings_of(words).outputs_dir)
    rows = [COLUMNS, *(tuple(_cells(run, manifest)) for run, manifest in runs_in(folder))]
    if len(rows) == 1:
        print(f"There is no run in {short_path(folder)} yet. To make one: make run")
        return 0
    widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _cells(run: Folder, manifest: Manifest) -> Iterator[str]:
    made, judged, kept = manifest.generation, manifest.judging, manifest.filtering.kept
    total = made.counts.get("done", 0) + manifest.top_up.repaired + manifest.top_up.added
    ledger = judged.ledger or made.ledger
    yield run.dir.name
    yield made.finished[:16].replace("T", " ") or "–"
    yield f"{total:,}"
    yield "not filtered" if kept is None else f"{kept:,} ({kept / total:.0%})" if total else f"{kept:,}"
    yield f"${sum(line.cost_usd for line in manifest.top_up.ledger or ledger):.2f}"
    yield ", ".join(dict.fromkeys(line.model for line in ledger if line.stage == "gold")) or "–"
    yield ", ".join(dict.fromkeys(line.model for line in ledger if line.stage == "judge")) or "–"
