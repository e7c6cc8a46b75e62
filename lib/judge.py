"""sample -> verdicts, matched by rubric id -> evaluation; and all samples of a run, through one window.

The judge sees the criteria in a seeded random order, without severity or weight, and quotes its evidence, which is looked up in the
response. A set of verdicts that is not complete leaves the sample unjudged: it never becomes a score.
"""

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from lib.generate import RunFailed, ledger_rows, too_few, write_failures
from lib.llm.ask import Asker, for_each, open_asker
from lib.llm.call import Call, CallFailed
from lib.loop import finish
from lib.progress import progress_bar
from lib.prompts import judge_prompt, template_sha256
from lib.run import OrderedLines, Run, RunError, held, json_line, read_jsonl, run_of, update_manifest
from lib.schema import Evaluation, Failure, JudgementAnswer, Rubric, Sample, Verdict
from lib.settings import Settings

LATEX_SPACE = re.compile(r"\\[,;:! ]|~|\\quad")
ALIKE = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "‹": "<", "–": "-", "—": "-", "−": "-", "\u00a0": " ", "\u200b": None})


@dataclass(frozen=True, slots=True)
class Judging:
    """What judging came to. samples = judged + unjudged."""

    samples: int
    judged: int
    unjudged: tuple[Failure, ...]
    replayed: int
    asked: int
    cost_usd: float
    seconds: float
    notice: str
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        reused = f", {self.replayed:,} replies reused" if self.replayed else ""
        return f"{self.judged:,} of {self.samples:,} samples judged, {len(self.unjudged):,} unjudged; {self.asked:,} calls{reused}, ${self.cost_usd:.2f} in this run so far, {self.seconds:.0f} s"


def judge_samples(settings: Settings) -> Judging:
    """Judge every generated sample of the run, or replay it, and write `evaluations.jsonl`.

    Raises RunFailed when fewer than `min_call_success` could be judged, ProviderError when none can, RunError when there is nothing to judge.
    """
    run = run_of(settings)
    total = sum(1 for _ in read_jsonl(run.generated, Sample, made_by="01_generate"))
    if not total:
        raise RunError(f"{run.generated} holds no samples. See failures.jsonl beside it, then run 01_generate again.")
    progress = [0]
    try:
        with held(run):
            judging = finish(_judge(settings, run, total, progress))
    except KeyboardInterrupt:
        raise RunFailed(f"Interrupted: {progress[0]:,} of {total:,} judged; run again to continue.") from None
    _record(judging, settings, run)
    if judging.judged < settings.min_call_success * total:
        raise RunFailed(too_few("samples could be judged", judging.judged, total, judging.unjudged))
    return judging


async def judge_sample(ask: Asker, sample: Sample, *, vote: int = 0) -> Evaluation:
    """Ask for the verdicts of one sample. Raises CallFailed when they can't be had complete."""
    settings, about = ask.settings, sample.metadata
    prompt = judge_prompt(
        question=about.question,
        explanation=about.explanation,
        follow_up=about.follow_up,
        rubrics=shown_order(about.rubrics, f"{settings.random_seed}/{sample.id}/judge/{vote}"),
        response=sample.response,
    )
    objection = complete_for([rubric.id for rubric in about.rubrics])
    reply = await ask(
        Call(sample.id, "judge", settings.judge_model, prompt, JudgementAnswer, settings.max_tokens, settings.judge_effort, vote, objection)
    )
    return evaluation(sample, reply.answer, model=reply.model, provider=ask.provider.id, notice=ask.provider.notice)


def shown_order(rubrics: Sequence[Rubric], seed: str) -> list[Rubric]:
    """Return the rubrics shuffled: criteria that always come first get other verdicts than those that come last."""
    shuffled = list(rubrics)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def complete_for(rubric_ids: Sequence[str]) -> Callable[[JudgementAnswer], str]:
    """Return the objection to a judgement that lacks, repeats or invents an id ("" when each id has one verdict)."""

    def objection(answer: JudgementAnswer) -> str:
        given = Counter(verdict.rubric_id for verdict in answer.verdicts)
        wanted = Counter(rubric_ids)
        if given == wanted:
            return ""
        missing, surplus = sorted((wanted - given).elements()), sorted((given - wanted).elements())
        return f"verdicts missing for {missing or 'none'}, surplus {surplus or 'none'}"

    return objection


def evaluation(sample: Sample, answer: JudgementAnswer, *, model: str, provider: str, notice: str = "") -> Evaluation:
    """Return the evaluation, verdicts in the rubrics' own order whatever order they were shown or answered in."""
    by_id = {verdict.rubric_id: verdict for verdict in answer.verdicts}
    response = _plain(sample.response)
    verdicts = []
    for rubric in sample.metadata.rubrics:
        said = by_id[rubric.id]
        found = _plain(said.evidence) in response if said.evidence.strip() else None
        verdicts.append(Verdict(rubric_id=rubric.id, met=said.met, reasoning=said.reasoning, evidence=said.evidence, evidence_found=found))
    return Evaluation(
        id=sample.id,
        verdicts=tuple(verdicts),
        quality_score=answer.quality_score,
        strengths=tuple(dict.fromkeys(answer.strengths)),
        weaknesses=tuple(dict.fromkeys(answer.weaknesses)),
        provider=provider,
        model=model,
        prompt_sha256=template_sha256("judge"),
        notice=notice,
    )


def _plain(text: str) -> str:
    """Return `text` without what copying changes: white space, LaTeX spacing, kinds of quotes and dashes, case, quotes around it."""
    return " ".join(LATEX_SPACE.sub(" ", text.translate(ALIKE)).split()).strip("\"' .…").casefold()


async def _judge(settings: Settings, run: Run, total: int, progress: list[int]) -> Judging:
    lines, unjudged = OrderedLines(), dict[int, Failure]()
    started = time.monotonic()
    async with open_asker(settings, journal=run.journal) as ask:
        with progress_bar(total, description="Judging", unit="samples") as bar:

            async def work(index: int, sample: Sample) -> None:
                try:
                    lines.add(index, json_line(await judge_sample(ask, sample)))
                    progress[0] += 1
                except CallFailed as failed:
                    cost = round(ask.journal.spent_usd(slot=sample.id), 6)
                    unjudged[index] = Failure(id=sample.id, stage="judge", reason=failed.reason, detail=failed.detail, cost_usd=cost)
                    bar.set_postfix(unjudged=len(unjudged), refresh=False)
                bar.update(1)

            samples = read_jsonl(run.generated, Sample, made_by="01_generate")
            await for_each(work, islice(samples, total), width=ask.width)
        lines.write(run.evaluations)
        failures = tuple(unjudged[index] for index in sorted(unjudged))
        write_failures(run, failures, judging=True)
        judged = len(lines)
        lines.close()
        return Judging(
            samples=total,
            judged=judged,
            unjudged=failures,
            replayed=ask.replayed,
            asked=ask.asked,
            cost_usd=ask.budget.spent_usd,
            seconds=time.monotonic() - started,
            notice=ask.provider.notice,
            remarks=tuple(ask.remarks),
        )


def _record(judging: Judging, settings: Settings, run: Run) -> None:
    update_manifest(
        run,
        "judging",
        {
            "settings": settings.model_dump(mode="json"),
            "prompt_sha256": {"judge": template_sha256("judge")},
            "counts": {"samples": judging.samples, "judged": judging.judged, "unjudged": len(judging.unjudged)},
            "calls": {"asked": judging.asked, "replayed": judging.replayed},
            "notice": judging.notice,
            "seconds": round(judging.seconds, 1),
            "ledger": ledger_rows(run),
        },
    )
