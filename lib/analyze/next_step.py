"""Tables and what is known of the judge -> the one command or edit that is most useful next.

Each rule returns sentences, or "" when it does not apply. The first rule that applies decides. A command stands on a line of its own, so
that it can be copied.
"""

import math
from collections.abc import Callable
from shlex import quote

from lib.analyze.chance import FEWEST_FOR_RATES
from lib.analyze.losses import UNJUDGED, funnel
from lib.analyze.rates import are
from lib.analyze.tables import Tables
from lib.analyze.trust import Trust
from lib.analyze.warnings import HIGH_KEEP_RATE, LOW_CATCH_RATE, LOW_KEEP_RATE, about_labels
from lib.generate.verify import DROP_REASONS
from lib.settings import short_path
from lib.taxonomy import label

ENOUGH = 100  # samples, of which any keep rate is known to within 10 points (Wilson)
FEWEST_LABELS = 30  # samples that people label, for a first idea of how often the judge recognises a good one
ADVICE = {  # for the step that loses most, where fewer than half of the samples are kept
    "other_kind": "sharpen the kind's `tie_break` in lib/taxonomy.py",
    "length_far_off": "edit lib/prompts/gold_system.md, or raise LENGTH_TOLERANCE",
    "formulaic_opening": "edit lib/prompts/gold_system.md, or raise MAX_ALIKE_SHARE",
    "formulaic_closing": "edit lib/prompts/gold_system.md, or raise MAX_ALIKE_SHARE",
    "no_critical_rubric": "edit lib/prompts/scenario_system.md",
    "benchmark_overlap": "edit lib/prompts/scenario_system.md",
    "near_duplicate_question": "edit lib/prompts/scenario_system.md, or add topics to data/topics.csv",
    UNJUDGED: "raise MAX_TOKENS, or set JUDGE_MODEL to one that answers completely",
}
Rule = Callable[[Tables, Trust], str]


def next_step(tables: Tables, judge: Trust) -> str:
    """Return the most useful next step."""
    return next(filter(None, (rule(tables, judge) for rule in RULES)))


def _a_larger_model(tables: Tables, judge: Trust) -> str:
    if not judge.notice:
        return ""
    return (
        "This run is a model's on this machine. For text worth training on, put ANTHROPIC_API_KEY=…, or what another provider needs "
        "(see .env.example), into .env, then:\n  make run RUN=first"
    )


def _more_samples(tables: Tables, judge: Trust) -> str:
    made = funnel(tables)[0]["samples"]
    if made >= FEWEST_FOR_RATES:
        return ""
    seeds = math.ceil(ENOUGH / tables.run.settings.samples_per_seed)
    spent_usd, settings = sum(line.cost_usd for line in tables.manifest.judging.ledger), tables.run.settings
    more_usd = 0.0 if settings.scenarios_from else spent_usd / max(1, made) * (ENOUGH - made)  # reused scenarios cost nothing
    price = f" (about ${more_usd:.2f} more at what a sample of this run cost)" if more_usd >= 0.01 else ""
    enough_usd = math.ceil(spent_usd + 2 * more_usd)
    budget = f" BUDGET_USD={enough_usd}" if enough_usd > settings.budget_usd else ""
    return f"Make about {ENOUGH} samples{price}, because {made} are too few to tell anything:\n  {_again(tables)} NUM_SEEDS={seeds}{budget}"


def _another_judge(tables: Tables, judge: Trust) -> str:
    again = _again(tables)
    if judge.own_judge:
        return f"Let another model judge than the one that writes:\n  {again} JUDGE_MODEL=<another model>"
    if not judge.planted:
        return f"Measure the judge, because without planted failures no keep rate means anything:\n  {again} PLANTED_SHARE=0.05"
    caught = judge.all_caught
    no_better_than_chance = judge.passed.hits > 0 and judge.corrected is None
    if judge.catches.is_enough and ((caught.total and (caught.rate or 0.0) < LOW_CATCH_RATE) or no_better_than_chance):
        return (
            f"Take a stronger judge, or set VOTES=3, because too few planted failures are caught:\n  {again} JUDGE_MODEL=<a stronger model>"
        )
    if about_labels(judge.good.from_labels, passed=judge.passed):
        return f"Take a stronger judge, because people find fewer samples good than it passes:\n  {again} JUDGE_MODEL=<a stronger model>"
    return ""


def _another_verifier(tables: Tables, judge: Trust) -> str:
    if not judge.verifier.warnings:
        return ""
    return f"Let a stronger model verify the scenarios, and another than the writer:\n  {_again(tables)} VERIFIER_MODEL=<another model>"


def _what_loses_most(tables: Tables, judge: Trust) -> str:
    steps = funnel(tables)
    made, kept = steps[0]["samples"], steps[-1]["left"]
    if kept >= LOW_KEEP_RATE * made:
        return ""
    worst = max(steps, key=lambda step: step["dropped"])["step"]
    scenario = "edit lib/prompts/scenario_system.md, or raise SCENARIO_EFFORT"
    advice = ADVICE.get(worst, scenario if worst in DROP_REASONS else "edit lib/prompts/gold_system.md, or raise GOLD_EFFORT")
    name = tables.run.settings.run
    return (
        f"Only {kept:,} of {made:,} {are(kept)} kept. Read the samples named above, then {advice}, because the step that loses most is "
        f"“{label(worst).lower()}”. Compare the two runs:\n  {_again(tables, name=f'{name}_2')} COMPARE_WITH={name}"
    )


def _read_what_is_kept(tables: Tables, judge: Trust) -> str:
    if (tables.first_kept.rate or 0.0) <= HIGH_KEEP_RATE:
        return ""
    return "Nearly everything is kept. Read a dozen kept samples in notebook 2 before you believe it, then go on to notebook 4."


def _validate_and_label(tables: Tables, judge: Trust) -> str:
    name = tables.run.settings.run
    validate = f"Check and split the training file:\n  make validate RUN={name}"
    if judge.people:
        return validate
    return f"{validate}\nThen label {FEWEST_LABELS} samples, which tells how often the judge drops good ones:\n  make review RUN={name}"


def _again(tables: Tables, *, name: str = "") -> str:
    """Return the command that makes the run again with its own settings. Under its own name, every paid reply is used again."""
    return f"make rerun FROM={quote(str(short_path(tables.run.dir)))} RUN={name or tables.run.settings.run}"


RULES: tuple[Rule, ...] = (
    _a_larger_model,
    _another_judge,
    _more_samples,
    _another_verifier,
    _what_loses_most,
    _read_what_is_kept,
    _validate_and_label,
)
