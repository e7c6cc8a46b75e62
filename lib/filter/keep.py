"""sample and evaluation -> kept, or the one reason why not. The run's files are split accordingly, once, and read back from then on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lib.filter.examples import example_line
from lib.filter.scores import critical_failures, critical_score
from lib.run.files import RunError, json_line, whole_file, write_jsonl
from lib.run.lock import holding
from lib.run.manifest import forget_section, update_manifest
from lib.run.records import (
    AGAIN,
    drop_decisions,
    evaluations,
    gate_decisions,
    kept_ids,
    made_samples,
    planted_copies,
    recorded_failures,
    remove,
)  # fmt: skip
from lib.run.run import Run, filtered_with
from lib.schema import Decision, Evaluation, Planted, Sample
from lib.settings import Settings
from lib.taxonomy import label

BAN_BROKEN, CRITICAL_RUBRICS_FAILED, FACTUAL_ERROR, LOW_QUALITY = VERDICT_REASONS = (  # in the order of the funnel, after the gates'
    "ban_broken", "critical_rubrics_failed", "factual_error", "low_quality",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """A made sample with its evaluation, if it has one, and what became of it."""

    sample: Sample
    evaluation: Evaluation | None
    decision: Decision

    @property
    def is_kept(self) -> bool:
        return self.decision.status == "kept"


def drop_reason(sample: Sample, evaluation: Evaluation, *, settings: Settings) -> tuple[str, str] | None:
    """Return the first reason why the judge's answer drops the sample, with its detail, or None when it is kept."""
    score, found = critical_score(sample, evaluation), f"quality score {evaluation.quality_score} of 5"
    failed = critical_failures(sample, evaluation)
    if settings.ban_is_veto and (broken := [rubric.id for rubric in failed if rubric.weight < 0]):
        return BAN_BROKEN, f"the response breaks the ban {', '.join(broken)}"
    if not score.above(settings.threshold):
        names = ", ".join(rubric.id for rubric in failed)
        return CRITICAL_RUBRICS_FAILED, f"{score.passed} of {score.total} critical rubrics pass; failed: {names}"
    if settings.drop_factual_errors and FACTUAL_ERROR in evaluation.weaknesses:
        return FACTUAL_ERROR, f"the judge finds a factual error; {found}"
    if evaluation.quality_score < settings.min_quality_score:
        weaknesses = ", ".join(label(name).lower() for name in evaluation.weaknesses)
        return LOW_QUALITY, f"{found}{f' ({weaknesses})' if weaknesses else ''}, and at least {settings.min_quality_score} is wanted"
    return None


def decide(sample: Sample, evaluation: Evaluation | None, *, settings: Settings, why_unjudged: str = "") -> Decision:
    """Return what becomes of a made sample, which is kept, dropped with one reason, or unjudged."""
    if evaluation is None:
        return Decision(id=sample.id, status="unjudged", reason=why_unjudged or "not_judged")
    if found := drop_reason(sample, evaluation, settings=settings):
        return Decision(id=sample.id, status="dropped", reason=found[0], detail=found[1])
    return Decision(id=sample.id, status="kept")


@holding
def filter_samples(run: Run) -> None:
    """Write the kept samples with metadata, their training lines, and the dropped and unjudged samples with their reasons.

    The data set of an earlier filtering is removed, because it does not belong to these files.
    """
    forget_section(run, "filtering")  # until all files are written, the run counts as not filtered
    for path in run.dataset_files():
        remove(path)
    gated = gate_decisions(run)
    unjudged = {failure.id: failure.reason for failure in recorded_failures(run) if failure.stage == "judge"}
    dropped: list[Decision] = []
    with whole_file(run.filtered) as filtered, whole_file(run.finetune) as finetune:
        for sample, evaluation in _with_evaluations(run):
            judged = decide(sample, evaluation, settings=run.settings, why_unjudged=unjudged.get(sample.id, ""))
            decision = gated.pop(sample.id, judged)
            if decision.status == "kept":
                filtered.write(json_line(sample))
                finetune.write(example_line(sample))
            else:
                dropped.append(decision)
        _require_none_left(gated, path=run.gated)
    write_jsonl(run.dropped, dropped)
    update_manifest(run, "filtering", values=filtered_with(run))


def judged_samples(run: Run) -> Iterator[Judged]:
    """Yield every made sample of a filtered run, in plan order, one at a time in memory. The decisions are read, not made again.

    Raises RunError when the run was not filtered, or has changed since, or where its files don't belong together.
    """
    run.require_filtered()
    others, kept = drop_decisions(run), kept_ids(run)
    for sample, evaluation in _with_evaluations(run):
        decision = others.pop(sample.id, Decision(id=sample.id, status="kept"))
        if (decision.status == "kept") != (sample.id in kept) or (decision.status == "kept" and evaluation is None):
            raise RunError(f"{run.dropped} and {run.filtered.name} do not agree on {sample.id}. {AGAIN}")
        kept.discard(sample.id)
        yield Judged(sample, evaluation, decision)
    _require_none_left(others, path=run.dropped)
    _require_none_left(kept, path=run.filtered)


def planted_failures(run: Run) -> Iterator[tuple[Planted, Sample]]:
    """Yield every planted failure of the run and the sample it was made from, in the order of the samples.

    Raises RunError where two share an id, where one is of no sample, or where one lacks a verdict.
    """
    copies = Copies(run)
    for sample in made_samples(run) if copies else ():
        for copy in copies.of(sample):
            yield copy, sample
    copies.require_none_left()


class Copies:
    """The planted failures of a run, until they are asked for by their samples."""

    def __init__(self, run: Run) -> None:
        """Read them. Raises RunError where two share an id."""
        self._left: dict[str, list[tuple[str, Planted]]] = {}  # a sample's id -> its copies, each with the place of its line
        seen: set[str] = set()
        for line, copy in enumerate(planted_copies(run), start=1):
            where = f"{run.planted}, line {line}"
            if copy.id in seen:
                raise RunError(f"{where}: {copy.id} stands twice. {AGAIN}")
            seen.add(copy.id)
            self._left.setdefault(copy.sample_id, []).append((where, copy))

    def __len__(self) -> int:
        return len(self._left)

    def of(self, sample: Sample) -> Iterator[Planted]:
        """Yield the copies of the sample and forget them. Raises RunError where one lacks a verdict."""
        for where, copy in self._left.pop(sample.id, ()):
            _require_all_verdicts(sample, copy.evaluation, where=where)
            yield copy

    def require_none_left(self) -> None:
        """Raise RunError when there is a copy of no sample."""
        for where, copy in (place for copies in self._left.values() for place in copies):
            raise RunError(f"{where}: {copy.sample_id} is no sample of this run. {AGAIN}")


def _with_evaluations(run: Run) -> Iterator[tuple[Sample, Evaluation | None]]:
    """Yield every made sample with its evaluation, if it has one.

    Raises RunError for an evaluation that is out of order, stands twice, is of no sample, or lacks a verdict.
    """
    numbered = enumerate(evaluations(run), start=1)
    line, waiting = next(numbered, (0, None))
    for sample in made_samples(run):
        if waiting and waiting.id == sample.id:
            _require_all_verdicts(sample, waiting, where=f"{run.evaluations}, line {line}")
            yield sample, waiting
            line, waiting = next(numbered, (0, None))
        else:
            yield sample, None
    if waiting:
        raise RunError(
            f"{run.evaluations}, line {line}: {waiting.id} stands out of the samples' order, twice, or is no sample of this run. {AGAIN}"
        )


def _require_none_left(names: Iterable[str], *, path: object) -> None:
    for name in names:
        raise RunError(f"{path}: {name} is no sample of this run. {AGAIN}")


def _require_all_verdicts(sample: Sample, evaluation: Evaluation, *, where: str) -> None:
    """Raise RunError unless the evaluation has one verdict for each criterion of the sample, in the criteria's order."""
    wanted, given = [rubric.id for rubric in sample.metadata.rubrics], [verdict.rubric_id for verdict in evaluation.verdicts]
    if given != wanted:
        names = ", ".join(given) or "nothing"
        raise RunError(f"{where}: {evaluation.id} has verdicts on {names}, and its criteria are {', '.join(wanted)}. {AGAIN}")
