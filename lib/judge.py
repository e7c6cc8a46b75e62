"""sample -> verdicts, matched by rubric id -> evaluation; and all samples of a run, through one window.

The judge sees the criteria in a seeded random order, without severity or weight, and quotes its evidence, which is looked up in the
response. A set of verdicts that is not complete leaves the sample unjudged: it never becomes a score.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence

from lib.llm.ask import Asker
from lib.llm.call import Call
from lib.prompts import judge_prompt, template_sha256
from lib.run import RunError, read_jsonl, run_of
from lib.schema import Evaluation, JudgementAnswer, Rubric, Sample, Verdict
from lib.settings import Settings
from lib.work import Pass, Tally, record, require_enough, work_through

LATEX_SPACE = re.compile(r"\\[,;:! ]|~|\\quad")
ALIKE = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "‹": "<", "–": "-", "—": "-", "−": "-", "\u00a0": " ", "\u200b": None})


def judge_samples(settings: Settings) -> Tally:
    """Judge every generated sample of the run, or replay it, and write `evaluations.jsonl`.

    Raises RunFailed when fewer than `min_call_success` could be judged, ProviderError when none can, RunError when nothing was made.
    """
    run = run_of(settings)
    total = sum(1 for _ in read_jsonl(run.generated, Sample, made_by="01_generate"))
    if not total:
        raise RunError(f"{run.generated} holds no samples. See failures.jsonl beside it, then run 01_generate again.")
    samples = read_jsonl(run.generated, Sample, made_by="01_generate")
    tally = work_through(samples, judge_sample, work=Pass("judged", ("judge",), total, run.evaluations), settings=settings)
    record(tally, "judging", settings, prompt_sha256={"judge": template_sha256("judge")})
    return require_enough(tally, settings)


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
