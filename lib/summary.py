"""A finished run's folder -> the lines a person reads last: where the files are, what was made, kept, dropped, failed, and the cost."""

import json
import sys

from lib.errors import KitError
from lib.run import read_manifest, run_of
from lib.settings import Settings, settings_of, short_path


def summary(settings: Settings) -> str:
    """Return the summary. Raises KitError when the books of the run don't balance."""
    run = run_of(settings)
    manifest = read_manifest(run)
    found = json.loads(run.statistics.read_text(encoding="utf-8"))
    report = json.loads(run.validation.read_text(encoding="utf-8"))
    counts, more = manifest["generation"]["counts"], manifest.get("top_up", {})
    kept, dropped, unjudged = (found[f"{name}_samples"] for name in ("kept", "removed", "unjudged"))
    made = counts["done"] + more.get("repaired", 0) + more.get("added", 0)
    if counts["total"] != counts["done"] + counts["failed"] or not made == found["total_samples"] == kept + dropped + unjudged:
        raise KitError(f"{run.dir}: the books don't balance ({counts}, {found['total_samples']} judged or not). Run all notebooks again.")
    cost = sum(line["cost_usd"] for line in manifest["judging"]["ledger"])
    where, sides = short_path(run.dir), manifest["dataset"]["counts"]
    lines = [
        "",
        f"{counts['total']:,} planned = {counts['done']:,} made + {counts['failed']:,} failed",
        *([f"topped up: {more['repaired']:,} repaired, {more['added']:,} made anew; {more['why']}"] if more else []),
        f"{made:,} made = {kept:,} kept + {dropped:,} dropped + {unjudged:,} unjudged{_rate(found)}",
        found["planted_failures"],
        f"cost ${cost:.2f}{f' (${cost / kept:.4f} a kept sample)' if kept and cost else ''}",
        f"training file: {where}/{run.finetune.name}",
        f"  {report['examples']:,} examples, {report['errors']} errors, {report['warnings']} warnings",
        f"data set with card: {where}/{run.dataset.name}/ ({', '.join(f'{count:,} {side}' for side, count in sides.items())})",
        f"everything else: {where}/ (manifest.json, figures/, notebooks/)",
    ]
    lines += [f"\nNOTE: {warning}" for warning in found["warnings"]]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    try:
        print(summary(settings_of(arguments)))
    except KitError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _rate(found: dict[str, object]) -> str:
    interval = found["keep_rate_interval"]
    if not isinstance(interval, list):
        return ""
    return f" (keep rate {found['keep_rate']:.0%}, 95 % interval {interval[0]:.0%} to {interval[1]:.0%})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
