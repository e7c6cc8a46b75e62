"""A run and its plan -> nothing, or an error before anything is paid for or replaced that its owner may not have meant."""

from collections.abc import Iterator

from lib.errors import KitError, counted
from lib.generate.inputs import Plan
from lib.run.manifest import Section, read_manifest
from lib.run.run import Run
from lib.settings import Settings, SettingsError, short_path
from lib.taxonomy import SUBJECTS


class NotMeant(KitError):
    """What was asked for may not be meant. The error names the setting that says that it is."""


def require_meant_subjects(plan: Plan) -> None:
    """Raise SettingsError when a subject is neither one of the kit's nor in the topic file. `subjects_anyway` allows it."""
    settings = plan.settings
    strange = [name for name in settings.subjects if name not in SUBJECTS and name not in plan.topics]
    if strange and not settings.subjects_anyway:
        names, are = ", ".join(strange[:5]), "is" if len(strange) == 1 else "are"
        raise SettingsError(
            f"`subjects`: {names} {are} not among the {len(SUBJECTS)} subjects of this kit (`make settings`), and topics_csv has no topics "
            f"for {'it' if len(strange) == 1 else 'them'}. Nothing was asked. Write topics for your own subjects into a copy of "
            "data/topics.csv and name it in TOPICS_CSV, or let the model choose the topics by SUBJECTS_ANYWAY=true."
        )


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


def what_differs(run: Run, made: Section, *, inputs_sha256: dict[str, str], may_shrink: bool = False) -> Iterator[str]:
    """Yield in what the run's plan is another one than that of recorded samples.

    More seeds than there were make no difference, and fewer make none when the plan `may_shrink`.
    """
    now = run.settings.model_dump(mode="json")
    for name in Settings.names_of("plan"):
        was, wanted = made.settings.get(name, now[name]), now[name]
        if was != wanted and not (name == "num_seeds" and (may_shrink or was < wanted)):
            yield f"other {name}" if isinstance(wanted, list) else f"{name} was {was} and is {wanted}"
    for name, digest in inputs_sha256.items():
        if made.inputs_sha256.get(name, digest) != digest:
            yield f"the {name} file is another one"
