"""A filtered run -> what stands at the top of its page: numbers, funnel, rates, judge, cost, prompts and settings."""

from typing import Any

from lib.analyze.chance import FEWEST_FOR_RATES
from lib.analyze.conclusions import conclusions
from lib.analyze.costs import costs
from lib.analyze.groups import RATES, rates
from lib.analyze.rates import Share
from lib.analyze.statistics import statistics
from lib.analyze.tables import Tables, read_tables
from lib.analyze.trust import trust
from lib.prompts.rendering import STAGES, template_sha256, template_text
from lib.run.run import Run
from lib.taxonomy import label

BY = {"misconception_type": "Keep rate by kind of misconception", "area": "Keep rate by area", "level": "Keep rate by level"}


def summary_of(run: Run) -> dict[str, Any]:
    """Return the values of the template. Raises RunError when the run was not filtered."""
    tables = read_tables(run)
    found, judge, paid, made = statistics(tables), trust(tables), costs(tables), run.made_with
    return {
        "note": tables.note.partition("\n")[0],
        "lines": str(found).splitlines(),
        "judge": str(judge).splitlines(),
        "notice": judge.notice,
        "warnings": [warning for warning in judge.warnings if warning != judge.notice],
        "conclusions": _conclusions(tables),
        "funnel": _funnel(found["funnel"]),
        "rates": _rates(tables),
        "catches": [_bar(label(name), share) for name, share in judge.caught.items() if share.total],
        "cost": str(paid),
        "ledger": paid.rows(),
        "prompts": _prompts(tables),
        "changed": {name: str(value) for name, value in made.changed().items()},
        "settings": {name: str(value) for name, value in made.model_dump(mode="json").items()},
    }


def _conclusions(tables: Tables) -> dict[str, str]:
    found = conclusions(tables)
    return {"Subjects and kinds": found.groups, "The judge": found.judge, "Where samples are lost": found.losses, "Next": found.next_step}


def _funnel(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what each step that dropped anything left, as counts and as a share (0 to 100) of what came in first."""
    first = steps[0]["samples"]
    rows = [{"name": "came in", "dropped": 0, "left": first}]
    rows += [{"name": label(step["step"]).lower(), "dropped": step["dropped"], "left": step["left"]} for step in steps if step["dropped"]]
    return [row | {"share": 100 * row["left"] / max(1, first)} for row in rows]


def _rates(tables: Tables) -> dict[str, list[dict[str, Any]]]:
    """Return the keep rates by a few columns, or nothing where there are too few samples."""
    if len(tables.samples) < FEWEST_FOR_RATES:
        return {}
    total, hits, _ = RATES["samples"]
    return {
        title: [_bar(label(str(row[by])), Share(int(row[hits]), int(row[total]))) for row in rates(tables, by).to_dict("records")]
        for by, title in BY.items()
    }


def _bar(name: str, share: Share) -> dict[str, Any]:
    """Return a rate with its interval, in per cent."""
    low, high = share.interval or (0.0, 1.0)
    text = f"{share.hits:,} of {share.total:,}, {share.short}"
    return {"name": name, "rate": 100 * (share.rate or 0), "low": 100 * low, "high": 100 * high, "text": text}


def _prompts(tables: Tables) -> list[dict[str, str]]:
    """Return the digest of each prompt that the run used, and its text where the file is still the same."""
    manifest = tables.manifest
    used = manifest.generation.prompt_sha256 | manifest.judging.prompt_sha256 | manifest.top_up.prompt_sha256
    return [
        {"name": stage, "digest": used[stage][:12], "text": template_text(stage) if template_sha256(stage) == used[stage] else ""}
        for stage in STAGES
        if stage in used
    ]
