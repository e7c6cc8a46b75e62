"""A finished run's folder -> the lines a person reads last: where the files are, what was made, kept, dropped, failed, and the cost."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from lib.errors import KitError, counted
from lib.run.files import is_file
from lib.run.manifest import read_manifest, section_of
from lib.run.records import read_result
from lib.run.run import Run
from lib.run.runs import with_run
from lib.settings import settings_of, short_path

Count = Annotated[int, Field(ge=0)]


class _Found(BaseModel):
    """What is read of a JSON file; it may hold more, as another version's does."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _FirstPass(_Found):
    keep_rate: float | None = None
    keep_rate_interval: tuple[float, float] | None = None


class _TopUp(_Found):
    summary: str = ""


class _Statistics(_Found):
    """Of `filtering_statistics.json`."""

    total_samples: Count
    kept_samples: Count
    removed_samples: Count
    unjudged_samples: Count
    first_pass: _FirstPass = _FirstPass()
    topped_up: _TopUp | None = None
    planted_failures: str = ""
    warnings: tuple[str, ...] = ()


class _Validation(_Found):
    """Of `validation_report.json`."""

    examples: Count
    errors: Count
    warnings: Count


def summary(run: Run) -> str:
    """Return the summary. Raises KitError when the counts of the run contradict one another, RunError when a file can't be read."""
    counts = section_of(run, "generation", made_by="01_generate").counts
    ledger = section_of(run, "judging", made_by="02_filter").ledger
    sides = section_of(run, "dataset", made_by="04_validate").counts
    more = read_manifest(run).top_up
    found = read_result(run.statistics, _Statistics, made_by="02_filter")
    report = read_result(run.validation, _Validation, made_by="04_validate")
    planned, done, failed, unverified = (counts.get(name, 0) for name in ("total", "done", "failed", "dropped"))
    kept, dropped, unjudged = found.kept_samples, found.removed_samples, found.unjudged_samples
    made = done + more.repaired + more.added
    if planned != done + unverified + failed or not made == found.total_samples == kept + dropped + unjudged:
        raise KitError(f"{run.dir}: the counts don't add up ({counts}, {found.total_samples} judged or not). Run all notebooks again.")
    cost, where = sum(line.cost_usd for line in ledger), short_path(run.dir)
    lines = [
        "",
        f"{planned:,} planned = {done:,} made + {f'{unverified:,} dropped by the verifier + ' if unverified else ''}{failed:,} failed",
        *([f"{found.topped_up.summary if found.topped_up else 'topped up: nothing was added'}; {more.why}"] if more.why else []),
        f"{made:,} made = {kept:,} kept + {dropped:,} dropped + {unjudged:,} unjudged{_rate(found)}",
        found.planted_failures,
        f"cost ${cost:.2f}{f' (${cost / kept:.4f} a kept sample)' if kept and cost else ''}",
        f"training file: {where}/{run.finetune.name}",
        f"  {counted(report.examples, 'example')}, {counted(report.errors, 'error')}, {counted(report.warnings, 'warning')}",
        f"data set with card: {where}/{run.dataset.name}/ ({', '.join(f'{count:,} {side}' for side, count in sides.items())})",
        f"everything else: {where}/ (manifest.json, figures/, notebooks/)",
        *([f"to read the samples, open {where}/{run.report.name} in a browser"] if is_file(run.report) else []),
    ]
    return "\n".join(lines + [f"\nNOTE: {warning}" for warning in found.warnings])


def main(words: list[str]) -> int:
    """Print the summary of the run that the `name=value` words name."""
    print(summary(Run(settings_of(with_run(words)))))
    return 0


def _rate(found: _Statistics) -> str:
    first = found.first_pass
    if first.keep_rate is None or first.keep_rate_interval is None:
        return ""
    low, high = first.keep_rate_interval
    of = " of the first pass" if found.topped_up else ""
    return f" (keep rate{of} {first.keep_rate:.0%}, 95 % interval {low:.0%} to {high:.0%})"
