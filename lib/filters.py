"""sample and evaluation -> kept, or the one reason why not; and the run's files split accordingly."""

from collections.abc import Iterator
from fractions import Fraction

from lib.finetune import example_line
from lib.run import json_line, made_samples, read_jsonl, run_of, whole_file, write_jsonl
from lib.schema import Decision, DropReason, Evaluation, Failure, Sample
from lib.scores import critical_score
from lib.settings import Settings


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
    """Yield every made sample of the run with its evaluation, if any, and its decision; in plan order, one at a time in memory."""
    run = run_of(settings)
    evaluations = read_jsonl(run.evaluations, Evaluation, made_by="02_filter")
    gated = {decision.id: decision for decision in read_jsonl(run.gated, Decision, made_by="02_filter")}
    unjudged = {failure.id: failure.reason for failure in _failures(settings) if failure.stage == "judge"}
    waiting = next(evaluations, None)
    for sample in made_samples(run):
        evaluation = waiting if waiting and waiting.id == sample.id else None
        if evaluation:
            waiting = next(evaluations, None)
        judged = decide(sample, evaluation, threshold=settings.threshold, why_unjudged=unjudged.get(sample.id, ""))
        yield sample, evaluation, gated.get(sample.id, judged)


def filter_samples(settings: Settings) -> None:
    """Write the kept samples with metadata, their training lines, and the dropped and unjudged ones with their reasons.

    The data set of an earlier filtering goes: it would not be that of these files.
    """
    run = run_of(settings)
    for path in run.dataset_files():
        path.unlink(missing_ok=True)
    dropped: list[Decision] = []
    with whole_file(run.filtered) as filtered, whole_file(run.finetune) as finetune:
        for sample, _, decision in decisions(settings):
            if decision.status == "kept":
                filtered.write(json_line(sample))
                finetune.write(example_line(sample))
            else:
                dropped.append(decision)
    write_jsonl(run.dropped, dropped)


def _failures(settings: Settings) -> list[Failure]:
    run = run_of(settings)
    return list(read_jsonl(run.failures, Failure, made_by="01_generate")) if run.failures.exists() else []
