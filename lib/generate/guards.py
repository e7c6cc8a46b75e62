"""A run and its plan -> an error, or a remark, before anything is paid for or replaced that its owner may not have meant."""

import math

from lib.errors import KitError, counted
from lib.generate.estimate import estimate
from lib.generate.inputs import Plan, what_differs
from lib.generate.unpaid import CHAIN, unchanged_stages
from lib.run.manifest import read_manifest
from lib.run.run import DECIDES_SAMPLES, Run
from lib.settings import SettingsError, short_path
from lib.taxonomy import SUBJECTS


class NotMeant(KitError):
    """What was asked for may not be meant. The error names the setting that says that it is."""


def require_meant_subjects(plan: Plan) -> None:
    """Raise SettingsError when a subject is neither one of the kit's nor in the topic file. `subjects_anyway` allows it."""
    settings = plan.settings
    strange = [name for name in settings.subjects if name not in SUBJECTS and name not in plan.topics]
    if strange and not settings.subjects_anyway:
        names, are = ", ".join(strange[:5]), "is" if len(strange) == 1 else "are"
        them = "it" if len(strange) == 1 else "them"
        raise SettingsError(
            f"`subjects`: {names} {are} not among the {len(SUBJECTS)} subjects of this kit (see data/topics.csv), and topics_csv has "
            f"no topics for {them}. Nothing was asked. Write topics for your own subjects into a copy of that file and name it in "
            "TOPICS_CSV, or let the model choose the topics by SUBJECTS_ANYWAY=true."
        )


def require_affordable(run: Run, plan: Plan) -> None:
    """Raise NotMeant when `budget_usd` is below the least that the run would cost in all. A run that is made already may cost anything."""
    expected = estimate(run, plan)
    low, high = (expected.spent_usd + usd for usd in expected.left_usd)
    if low > run.settings.budget_usd and not _is_made(run, plan):
        spent = f"${expected.spent_usd:,.2f} are spent, and it" if expected.spent_usd else "It"
        raise NotMeant(
            f"{short_path(run.dir)} can't be finished within BUDGET_USD={run.settings.budget_usd:g}. {spent} would cost ${low:,.2f} to "
            f"${high:,.2f} in all. Nothing was asked. Set BUDGET_USD={math.ceil(high)}, or make fewer samples (NUM_SEEDS)."
        )


def _is_made(run: Run, plan: Plan) -> bool:
    """Whether the folder holds this plan, made with these settings, so that hardly a call is left."""
    made, now = read_manifest(run).generation, run.settings.model_dump(mode="json")
    answered = made.counts.get("done", 0) + made.counts.get("dropped", 0)
    same = all(made.settings.get(name) == now[name] for name in DECIDES_SAMPLES)
    return same and tuple(unchanged_stages(run, plan, since=run)) == CHAIN and answered >= run.settings.min_call_success * len(plan)


def require_same_plan(run: Run, *, inputs_sha256: dict[str, str]) -> None:
    """Raise NotMeant when the samples of a finished run would give way to those of another plan. `replace` allows it.

    A plan that only has more seeds than before is the same plan, because it begins with the same slots.
    """
    made = read_manifest(run).generation
    differs = list(what_differs(run, made, inputs_sha256=inputs_sha256))
    if differs and made.counts.get("done") and not run.settings.replace:
        samples, reasons = counted(made.counts["done"], "sample"), "; ".join(differs)
        raise NotMeant(
            f"{short_path(run.dir)} holds {samples} of another plan ({reasons}), which would be replaced. "
            "Choose another RUN name, or say that they may be by REPLACE=true. What was paid for stays in the journal."
        )


def replacement_remarks(run: Run) -> list[str]:
    """Return a remark when the folder holds samples that were made with other settings."""
    before, now = read_manifest(run).generation.settings, run.settings.model_dump(mode="json")
    changed = [name for name in DECIDES_SAMPLES if before and before.get(name) != now[name]]
    if not changed:
        return []
    return [
        f"This folder held a run with other settings ({', '.join(changed)}): its files are made anew, its paid replies stay in the journal."
    ]
