"""A run's records -> its data card: `dataset/README.md`, with the header that the Hugging Face Hub reads."""

from collections import Counter
from pathlib import Path
from typing import Any

from lib.analyze.rates import Share
from lib.analyze.statistics import statistics
from lib.analyze.trust import Trust, trust
from lib.analyze.variety import variety_table
from lib.generate.seeds import SeedFileError, read_seeds
from lib.prompts.rendering import cell, render
from lib.publish.splits import SIMILARITY, Split
from lib.run.files import whole_file
from lib.run.folder import holding, kept_samples, run_of
from lib.run.manifest import read_manifest, recorded_settings, section_of
from lib.settings import PROJECT_ROOT, Settings

TEMPLATE = Path(__file__).with_name("data_card.md.j2")
OWN_SEEDS = PROJECT_ROOT / "data" / "seeds.csv"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
UNLABELLED = "No people's labels: the corrected rate assumes that the judge passes every good reply."


@holding
def write_card(settings: Settings, split: Split) -> Path:
    """Write the card and return its path. Raises RunError when the run has not been filtered."""
    path = run_of(settings).dataset / "README.md"
    with whole_file(path) as file:
        file.write(card(settings, split))
    return path


def card(settings: Settings, split: Split) -> str:
    manifest, found, judge = read_manifest(run_of(settings)), statistics(settings), trust(settings)
    run = run_of(settings)
    generation, judging = section_of(run, "generation", made_by="01_generate"), section_of(run, "judging", made_by="02_filter")
    kept = Counter[tuple[str, str]]()
    writers: dict[str, None] = {}
    for sample in kept_samples(run_of(settings)):
        kept[sample.metadata.subject, sample.metadata.misconception_type] += 1
        writers |= dict.fromkeys(sample.metadata.models.values())
    planned = recorded_settings(run_of(settings))
    counts, gating = section_of(run, "dataset", made_by="04_validate")["counts"], manifest.get("gating", {})
    not_checked = gating.get("not_checked", [])
    subjects = [row["subject"] for row in found["by_subject"]]
    values: dict[str, Any] = {
        "title": f"Tutoring replies, run {settings.run}",
        "date": generation["finished"][:10],
        "seeds_licence": _seeds_licence(generation),
        "size": next((name for most, name in SIZES if kept.total() < most), "n>1M"),
        "notice": judge.notice,
        "sides": [side for side, count in counts.items() if count],
        "counts": counts,
        "kept": kept.total(),
        "writers": list(writers) or ["nobody: nothing is kept"],
        "judges": list(judge.models) or ["nobody"],
        "provider": generation["provider"],
        "keep_rate": str(judge.kept),
        "catch_line": judge.catch_line,
        "corrected_line": judge.corrected_line,
        "weighted_score": found["average_weighted_score"],
        "trust_lines": trust_lines(judge, list(writers)),
        "planned": generation["counts"]["total"],
        "threshold": f"{settings.critical_pass_threshold:.0%}",
        "funnel": [step for step in found["funnel"] if step["step"] not in not_checked],
        "not_checked": not_checked,
        "benchmark": {"rows": 0, "sequences": 0} | gating.get("benchmark", {}),
        "prompts": generation["prompt_sha256"] | judging["prompt_sha256"] | manifest.get("top_up", {}).get("prompt_sha256", {}),
        "changed": _changed(planned),
        "saw_rubrics": planned.show_rubrics_to_tutor,
        "top_up": manifest.get("top_up"),
        "planned_subjects": planned.subjects,
        "subjects": sorted(subjects, key=lambda name: planned.subjects.index(name) if name in planned.subjects else len(planned.subjects)),
        "types": planned.misconception_types,
        "cells": {(subject, kind): kept[subject, kind] for subject in subjects for kind in planned.misconception_types},
        "by_subject": {subject: sum(kept[subject, kind] for kind in planned.misconception_types) for subject in subjects},
        "similarity": SIMILARITY,
        "groups": split.groups,
        "share": settings.validation_share,
        "spread": {name: _spread(split, name) for name in ("subject", "misconception_type")},
        "variety": variety_table(settings).to_dict("records"),
        "people": judge.people is not None,
    }
    return render(TEMPLATE.name, values, folder=TEMPLATE.parent)


def trust_lines(judge: Trust, writers: list[str]) -> list[str]:
    """Return what is known of the judge, and every warning: the card must not be kinder than the notebook."""
    families = {family(name) for name in judge.models} & {family(name) for name in writers}
    lines = list(judge.warnings)
    if families and not judge.own_judge:
        lines.append(f"Writer and judge are of one family ({', '.join(sorted(families))}): judges tend to be lenient with their own kind.")
    lines += [f"{kind.replace('_', ' ')}: {share}" for kind, share in judge.caught.items() if share.total]
    lines.append(f"{judge.unfound.total - judge.unfound.hits:,} of {judge.unfound.total:,} quotes stand in the reply that was judged.")
    if judge.flipped.total:
        lines.append(f"Criteria on which repeated votes differ: {judge.flipped}.")
    if judge.people is None:
        return [*lines, UNLABELLED]
    return [*lines, f"People and judge agree on criteria: {judge.people.criteria.agreed}."]


def family(model: str) -> str:
    """Return "claude" for claude-opus-5-5: good enough to tell houses apart."""
    return model.lower().replace("_", "-").split("-")[0]


def _is_own(generation: dict[str, Any]) -> bool:
    try:
        return bool(read_seeds(OWN_SEEDS).sha256 == generation["inputs_sha256"].get("seeds"))
    except SeedFileError:
        return False


def _seeds_licence(generation: dict[str, Any]) -> str:
    if _is_own(generation):
        return "the kit's own (CC BY 4.0)."
    digest = cell(generation["inputs_sha256"].get("seeds", "unknown")[:16])
    return (
        f"a file of the user's (sha256 `{digest}…`). **Fill in its licence**: TutorBench's rows are CC BY-NC 4.0 and a benchmark, which "
        "restricts the result to non-commercial use and taints an evaluation on it."
    )


def _changed(planned: Settings) -> dict[str, Any]:
    """Return the settings that are not at their defaults; paths and the names of runs are nobody's business."""
    private = {"run", "outputs_dir", "seeds_csv", "topics_csv", "benchmark_csv", "review_csv", "compare_with"}
    without_effect = {"budget_usd", "max_concurrency", "min_call_success", "batch_poll_s", "timeout_s"}
    defaults, values = Settings(), planned.model_dump(exclude=private | without_effect)
    return {name: _shown(value) for name, value in values.items() if value != getattr(defaults, name)}


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _spread(split: Split, name: str) -> str:
    shares = [Share(held, train + held).rate or 0.0 for (stratum, _), (train, held) in split.counts.items() if stratum == name]
    return f"{min(shares):.0%} to {max(shares):.0%}" if shares else "none"
