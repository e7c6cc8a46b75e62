"""sample and evaluation -> kept, or the one reason why not; and the run's files split accordingly."""

from collections.abc import Iterator
from fractions import Fraction

from lib.filter.examples import example_line
from lib.filter.scores import critical_score
from lib.run.files import RunError, json_line, read_jsonl, whole_file, write_jsonl
from lib.run.folder import Run, holding, made_samples, recorded_failures, remove, run_of
from lib.run.manifest import forget_section
from lib.schema import Decision, DropReason, Evaluation, Planted, Sample
from lib.settings import Settings

AGAIN = "Run 02_filter again (make filter): it writes the file anew, and nothing is paid twice."


def drop_reason(sample: Sample, evaluation: Evaluation, *, threshold: Fraction) -> tuple[DropReason, str] | None:
    """Return why the sample is dropped and the detail, or None when it is kept."""
    score = critical_score(sample, evaluation)
    if not score.total:
        return DropReason.NO_CRITICAL_RUBRIC, "none of its rubrics has weight 5 or -5"
    if not score.above(threshold):
        met = {verdict.rubric_id: verdict.met for verdict in evaluation.verdicts}
        failed = [rubric.id for rubric in sample.metadata.rubrics if rubric.critical and not met[rubric.id]]
        return DropReason.CRITICAL_RUBRICS_FAILED, f"{score.passed} of {score.total} critical rubrics pass; failed: {', '.join(failed)}"
    return None


def decide(sample: Sample, evaluation: Evaluation | None, *, threshold: Fraction, why_unjudged: str = "") -> Decision:
    """Return what becomes of a made sample: kept, dropped with one reason, or unjudged."""
    if evaluation is None:
        return Decision(id=sample.id, status="unjudged", reason=why_unjudged or "not_judged")
    if found := drop_reason(sample, evaluation, threshold=threshold):
        return Decision(id=sample.id, status="dropped", reason=found[0], detail=found[1])
    return Decision(id=sample.id, status="kept")


def decisions(settings: Settings) -> Iterator[tuple[Sample, Evaluation | None, Decision]]:
    """Yield every made sample of the run with its evaluation, if any, and its decision; in plan order, one at a time in memory.

    Raises RunError where the files don't belong together: an evaluation or a gate's decision out of order, twice, or of no sample, or an
    evaluation whose verdicts are not those of its sample's criteria.
    """
    run = run_of(settings)
    evaluations = enumerate(read_jsonl(run.evaluations, Evaluation, made_by="02_filter"), start=1)
    gated = _gated(run)
    unjudged = {failure.id: failure.reason for failure in recorded_failures(run) if failure.stage == "judge"}
    line, waiting = next(evaluations, (0, None))
    for sample in made_samples(run):
        evaluation = None
        if waiting and waiting.id == sample.id:
            evaluation = waiting
            _require_all_verdicts(sample, evaluation, where=f"{run.evaluations}, line {line}")
            line, waiting = next(evaluations, (0, None))
        judged = decide(sample, evaluation, threshold=settings.threshold, why_unjudged=unjudged.get(sample.id, ""))
        yield sample, evaluation, gated.pop(sample.id, judged)
    if waiting:
        raise RunError(
            f"{run.evaluations}, line {line}: {waiting.id} stands out of the samples' order, twice, or is no sample of this run. {AGAIN}"
        )
    for name in gated:
        raise RunError(f"{run.gated}: {name} is no sample of this run. {AGAIN}")


def planted_failures(run: Run) -> Iterator[tuple[Planted, Sample]]:
    """Yield every planted failure of the run and the sample it was made from.

    Raises RunError where one stands twice, is of no sample, or lacks a verdict.
    """
    planted = list(read_jsonl(run.planted, Planted, made_by="02_filter"))
    wanted = {copy.sample_id for copy in planted}
    originals = {sample.id: sample for sample in made_samples(run) if sample.id in wanted}
    seen: set[str] = set()
    for line, copy in enumerate(planted, start=1):
        where = f"{run.planted}, line {line}"
        if copy.id in seen:
            raise RunError(f"{where}: {copy.id} stands twice. {AGAIN}")
        if copy.sample_id not in originals:
            raise RunError(f"{where}: {copy.sample_id} is no sample of this run. {AGAIN}")
        _require_all_verdicts(originals[copy.sample_id], copy.evaluation, where=where)
        seen.add(copy.id)
        yield copy, originals[copy.sample_id]


@holding
def filter_samples(settings: Settings) -> None:
    """Write the kept samples with metadata, their training lines, and the dropped and unjudged ones with their reasons.

    The data set of an earlier filtering goes: it would not be that of these files.
    """
    run = run_of(settings)
    forget_section(run, "filtering")  # until all files are written, the run counts as not filtered
    for path in run.dataset_files():
        remove(path)
    dropped: list[Decision] = []
    with whole_file(run.filtered) as filtered, whole_file(run.finetune) as finetune:
        for sample, _, decision in decisions(settings):
            if decision.status == "kept":
                filtered.write(json_line(sample))
                finetune.write(example_line(sample))
            else:
                dropped.append(decision)
    write_jsonl(run.dropped, dropped)


def _gated(run: Run) -> dict[str, Decision]:
    found: dict[str, Decision] = {}
    for line, decision in enumerate(read_jsonl(run.gated, Decision, made_by="02_filter"), start=1):
        if decision.id in found:
            raise RunError(f"{run.gated}, line {line}: {decision.id} stands twice. {AGAIN}")
        found[decision.id] = decision
    return found


def _require_all_verdicts(sample: Sample, evaluation: Evaluation, *, where: str) -> None:
    """Raise RunError unless the evaluation has one verdict for each criterion of the sample, in the criteria's order."""
    wanted, given = [rubric.id for rubric in sample.metadata.rubrics], [verdict.rubric_id for verdict in evaluation.verdicts]
    if given != wanted:
        names = ", ".join(given) or "nothing"
        raise RunError(f"{where}: {evaluation.id} has verdicts on {names}, and its criteria are {', '.join(wanted)}. {AGAIN}")
