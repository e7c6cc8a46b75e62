"""A run's settings -> the rows and candidates to evaluate, with calls, tokens, US dollars and minutes, before anything is spent."""

from dataclasses import dataclass, replace
from typing import Any

from lib.evaluate.questions import EvaluationFolder, prompt_of, question_id
from lib.evaluate.rows import Rows, candidates_of, read_rows
from lib.generate.estimate import Estimate, with_judge
from lib.generate.minutes import seconds_a_call
from lib.generate.usage import StageEstimate, asked_model, output_tokens, stage_estimate
from lib.llm.addresses import address, addresses, whom_it_asks
from lib.llm.call import wire_schema
from lib.llm.ledger import Mean, answered, ledger, means
from lib.prompts.answers import JudgementAnswer
from lib.prompts.rendering import Stage, template_text
from lib.run.run import Run
from lib.settings import Settings

STAGES: tuple[Stage, ...] = ("answer", "judge")
REPLY_CHARACTERS = 1_500  # of a reply, in the judge's prompt


@dataclass(frozen=True)
class Task:
    """What notebook 05 is about to do."""

    rows_asked: Rows
    candidates: tuple[str, ...]
    estimate: Estimate

    def __str__(self) -> str:
        return f"{self.rows_asked}\ncandidates: {', '.join(self.candidates)}\n{self.estimate}"

    @property
    def further_tables(self) -> list[list[dict[str, Any]]]:
        return [self.rows_asked.by_use_case(), self.estimate.rows()]

    @property
    def remarks(self) -> list[str]:
        return self.estimate.remarks


def read_task(run: Run) -> Task:
    """Return the rows, the candidates and the estimate.

    Raises NothingToEvaluate without a candidate, RunError or SeedFileError without rows, and PriceError for a model without a price.
    """
    candidates, rows = tuple(candidates_of(run)), read_rows(run)
    return Task(rows, candidates, _estimate(run, rows, candidates=len(candidates)))


def _estimate(run: Run, rows: Rows, *, candidates: int) -> Estimate:
    settings, journal, count = run.settings, EvaluationFolder(run).journal, len(rows)
    seen: dict[str, Mean] = {stage: mean for (stage, _), mean in means(journal).items() if stage in STAGES}
    read = sum(len(prompt.system) + len(prompt.user) for prompt in map(prompt_of, rows)) / max(1, count)
    judged = len(template_text("judge")) + read + REPLY_CHARACTERS + wire_schema(JudgementAnswer).characters
    answers = [settings.model_copy(update={"candidates": candidate}) for candidate in settings.candidates.split(",")]
    judges = [with_judge(run, judge).settings for judge in settings.judges]
    paid = answered(journal)

    def line(stage: Stage, own: Settings, *, calls: int, characters: float) -> StageEstimate:
        known = paid.get((stage, asked_model(own, stage)))
        named = settings.candidates.split(",") if stage == "judge" else [own.candidates]
        wanted = settings.votes if stage == "judge" else 1
        asked = [known.votes.get(question_id(row, name), 0) for row in rows for name in named] if known else []
        left = calls - sum(min(wanted, votes) for votes in asked)
        found = stage_estimate(stage, calls=calls, characters=characters, settings=own, seen=seen)
        return replace(found, left=(left, left))

    stages = [line("answer", own, calls=count, characters=read) for own in answers]
    stages += [line("judge", own, calls=count * candidates * settings.votes, characters=judged) for own in judges]
    local = {stage for stage in STAGES if address(settings, stage).access.is_local}
    seconds = seconds_a_call(output_tokens(seen), seen=seen, local=local)
    spans = [
        sum(line.calls * seconds[line.stage][end] / (1 if line.stage in local else settings.max_concurrency) for line in stages) / 60
        for end in (0, 1)
    ]
    everywhere = [found for stage in STAGES for found in addresses(settings, stage)]
    return Estimate(
        tuple(stages),
        minutes=(spans[0], spans[1]),
        measured="tokens and time" if any(mean.seconds for mean in seen.values()) else "tokens" if seen else "",
        is_local=all(found.access.is_local for found in everywhere),
        samples=count * candidates,
        budget_usd=settings.budget_usd,
        spent_usd=sum(line.cost_usd for line in ledger(journal)),
        whom=whom_it_asks(settings, STAGES),
        batches=2 if all(found.access.mode == "batch" for found in everywhere) else 0,
    )
