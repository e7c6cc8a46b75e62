"""A run's tables -> its data card: `dataset/README.md`, with the header that the Hugging Face Hub reads."""

from collections import Counter
from pathlib import Path
from typing import Any

from lib.analyze.rates import Share
from lib.analyze.statistics import statistics
from lib.analyze.tables import Tables
from lib.analyze.trust import Trust, trust
from lib.analyze.variety import variety_table
from lib.llm.names import family
from lib.prompts.rendering import cell, render
from lib.publish.splits import SIMILARITY, Split
from lib.run.files import is_file, sha256_of, whole_file
from lib.run.lock import holding
from lib.run.manifest import section_of
from lib.run.run import Run
from lib.settings import PROJECT_ROOT, Settings
from lib.taxonomy import label

TEMPLATE = Path(__file__).with_name("data_card.md.j2")
OWN_SEEDS = PROJECT_ROOT / "data" / "seeds.csv"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
FEWEST_OF_A_KIND = 5  # planted failures, below which a rate of a kind is not named
NO_LABELS = "Nobody has labelled any of it, so how many good replies the judge drops is not known."
SHOWN_SETTINGS = [
    name for name in Settings.names_of("plan", "writing", "endpoint", "judging", "filtering", "publishing") if name != "benchmark_csv"
]
SOURCES = {"repair": "near misses and their repairs", "candidate": "answers of other models", "planted": "spoiled copies"}
LEVELS = ("middle_school", "high_school", "undergraduate", "graduate")


def write_card(tables: Tables, split: Split) -> Path:
    """Write the card and return its path. Raises RunError when the data set has not been written."""
    return _written(tables.run, tables=tables, split=split)


@holding
def _written(run: Run, *, tables: Tables, split: Split) -> Path:
    path = run.dataset / "README.md"
    with whole_file(path) as file:
        file.write(card(tables, split))
    return path


def card(tables: Tables, split: Split) -> str:
    """Return the text of the card."""
    run, manifest, found, judge = tables.run, tables.manifest, statistics(tables), trust(tables)
    generation, judging = section_of(run, "generation", made_by="01_generate"), section_of(run, "judging", made_by="02_filter")
    counts, gating, planned = section_of(run, "dataset", made_by="04_validate").counts, manifest.gating, run.made_with
    samples = tables.samples[tables.samples["kept"]]
    kept = Counter(zip(samples["subject"], samples["misconception_type"], strict=True))
    writers = list(dict.fromkeys(name for names in samples["writers"] for name in names))
    subjects, types = [row["subject"] for row in found["by_subject"]], planned.misconception_types
    values: dict[str, Any] = {
        "title": f"Tutoring replies, run {run.settings.run}",
        "date": generation.finished[:10],
        "seeds_licence": _seeds_licence(generation.inputs_sha256.get("seeds", "unknown")),
        "size": next((name for most, name in SIZES if kept.total() < most), "n>1M"),
        "notice": judge.notice,
        "sides": [side for side, count in counts.items() if count],
        "counts": counts,
        "kept": kept.total(),
        "writers": writers or ["nobody: nothing is kept"],
        "judges": list(judge.models) or ["nobody"],
        "verifiers": judge.verifier.models or ("nobody",),
        "provider": generation.provider + (f"; of the judge: {judging.provider}" if judging.provider != generation.provider else ""),
        "keep_rate": str(judge.kept),
        "catch_line": judge.catch_line,
        "corrected_line": judge.corrected_line,
        "weighted_score": found["average_weighted_score"],
        "trust_lines": trust_lines(judge, writers),
        "planned": planned.planned_samples,
        "planned_controls": planned.planned_controls,
        "threshold": f"{run.settings.critical_pass_threshold:.0%}",
        "funnel": [step for step in found["funnel"] if step["step"] not in gating.not_checked],
        "not_checked": gating.not_checked,
        "benchmark": {"rows": 0, "sequences": 0} | gating.benchmark,
        "prompts": generation.prompt_sha256 | judging.prompt_sha256 | manifest.top_up.prompt_sha256,
        "changed": _changed(planned),
        "saw_rubrics": planned.show_rubrics_to_tutor,
        "topped_up": tables.topped_up_line.partition(": ")[2],
        "top_up": manifest.top_up if manifest.has("top_up") else None,
        "planned_subjects": planned.subjects,
        "subjects": sorted(subjects, key=lambda name: planned.subjects.index(name) if name in planned.subjects else len(planned.subjects)),
        "types": types,
        "cells": {(subject, kind): kept[subject, kind] for subject in subjects for kind in types},
        "by_subject": {subject: sum(kept[subject, kind] for kind in types) for subject in subjects},
        "similarity": SIMILARITY,
        "groups": split.groups,
        "share": run.settings.validation_share,
        "spread": {name: _spread(split, name) for name in ("subject", "misconception_type")},
        "controls": found["controls"],
        "verified": judge.verifier.passed.total > 0,
        "unverified": int((~tables.samples["verified"].astype(bool)).sum()),
        "levels": list(dict.fromkeys(level for level in LEVELS if level in set(samples["level"]))),
        "rules": _rules(run.settings),
        "variety": variety_table(tables).to_dict("records"),
        "people": judge.people is not None,
        "pairs": _pairs(section_of(run, "dataset", made_by="04_validate").preferences),
        "preference_form": run.settings.preference_form,
        "rubrics": section_of(run, "dataset", made_by="04_validate").rubrics,
        "has_own_seeds": _has_own_seeds(generation.inputs_sha256.get("seeds", "unknown")),
    }
    return render(TEMPLATE.name, values, folder=TEMPLATE.parent)


def trust_lines(judge: Trust, writers: list[str]) -> list[str]:
    """Return what is known of the judge, with every warning, because the card must not be kinder than the notebook."""
    families = {family(name) for name in judge.models} & {family(name) for name in writers}
    lines = [warning.partition(" Set ")[0] for warning in judge.warnings]  # what to set is for who makes the data, not for who reads it
    if families and not judge.own_judge:
        lines.append(f"Writer and judge are of one family ({', '.join(sorted(families))}): judges tend to be lenient with their own kind.")
    lines += [
        f"planted failures caught, {label(kind).lower()}: {share}"
        for kind, share in judge.caught.items()
        if share.total >= FEWEST_OF_A_KIND
    ]
    lines += judge.measured
    lines.append(f"{judge.unfound.total - judge.unfound.hits:,} of {judge.unfound.total:,} quotes stand in the reply that was judged.")
    if judge.flipped.total:
        lines.append(f"Criteria on which repeated votes differ: {judge.flipped}.")
    if judge.verifier.passed.total:
        lines += str(judge.verifier).splitlines()
    lines += judge.people.lines if judge.people else []
    return [*lines, *(judge.good.assumptions if judge.corrected_line else [NO_LABELS] if not judge.people else [])]


def _pairs(counts: dict[str, dict[str, int]]) -> str:
    """Return how many pairs of each source each side has, in words, or ""."""
    found = [f"{side}: {', '.join(f'{count} {SOURCES[source]}' for source, count in of.items())}" for side, of in counts.items() if of]
    return "; ".join(found)


def _has_own_seeds(digest: str) -> bool:
    return is_file(OWN_SEEDS) and sha256_of(OWN_SEEDS) == digest


def _seeds_licence(digest: str) -> str:
    if _has_own_seeds(digest):
        return "the kit's own (CC BY 4.0)."
    return (
        f"a file of the user's (sha256 `{cell(digest[:16])}…`). **Fill in its licence**: TutorBench's rows are CC BY-NC 4.0 and a "
        "benchmark, which restricts the result to non-commercial use and taints an evaluation on it."
    )


def _changed(planned: Settings) -> dict[str, str]:
    """Return the settings that are not at their defaults. Paths and names are private, and speed changes no text."""
    defaults, values = Settings(), {name: getattr(planned, name) for name in SHOWN_SETTINGS}
    shown = {name: ", ".join(value) if isinstance(value, tuple) else str(value) for name, value in values.items()}
    return {name: text for name, text in shown.items() if values[name] != getattr(defaults, name)}


def _rules(settings: Settings) -> list[str]:
    """Return the rules that drop a sample although enough of its critical rubrics pass."""
    return [
        *(["it breaks a ban"] if settings.ban_is_veto else []),
        *(["the judge finds a factual error in it"] if settings.drop_factual_errors else []),
        *([f"its quality score is below {settings.min_quality_score} of 5"] if settings.min_quality_score > 1 else []),
    ]


def _spread(split: Split, name: str) -> str:
    shares = [Share(held, train + held).rate or 0.0 for (stratum, _), (train, held) in split.counts.items() if stratum == name]
    return f"{min(shares):.0%} to {max(shares):.0%}" if shares else "none"
