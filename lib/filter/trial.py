"""An edited prompt of the tutor or the judge, and a few samples -> how it answers, beside how the prompt before it answered.

The samples are the same each time, so that one edit can be held against the next. What is asked is journalled. So a run that is then
made, or judged, with this prompt does not pay for these samples again.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from lib.errors import KitError, counted
from lib.filter.judgement import judge_sample
from lib.filter.keep import drop_reason
from lib.filter.tried import Answered, Trial, Tried
from lib.generate.dealing import drawn
from lib.generate.usage import seen_in, stage_estimate
from lib.llm.ask import Asker
from lib.llm.call import CallFailed, wire_schema
from lib.llm.loop import Stopping, finish, for_each
from lib.llm.progress import progress_bar
from lib.llm.session import open_asker
from lib.llm.work import require_same_house
from lib.prompts.answers import GoldAnswer, JudgementAnswer
from lib.prompts.rendering import gold_prompt, gold_template, template_sha256, template_text
from lib.run.lock import holding
from lib.run.records import ById, made_samples
from lib.run.run import Run
from lib.schema import Evaluation, Sample
from lib.settings import Settings, short_path

SAMPLES = 5
OFF = (
    'To try an edited prompt of the tutor or the judge on five samples before it is used on all, set edited_prompt = "gold" or '
    '"judge" in the parameters cell, and run this cell again.'
)


class TrialError(KitError):
    """The prompt can't be tried as things are."""


def try_prompt(run: Run, *, ids: Collection[str] = ()) -> Trial | str:
    """Try the edited prompt that `edited_prompt` names on five samples, or on those with these `ids`.

    Return a sentence when it names none. Raises TrialError when the prompt was not edited or there is nothing to try it on, and
    ProviderError when no call can succeed.
    """
    if not run.settings.edited_prompt:
        return OFF
    live = run.settings.model_copy(update={"mode": "live", "judge_mode": ""})  # nobody waits a day for five samples
    return _tried(Run(live), ids=ids)


@holding
def _tried(run: Run, *, ids: Collection[str]) -> Trial:
    name = run.settings.edited_prompt
    samples = _samples(run, ids)
    before = ById(run.evaluations, Evaluation, made_by="02_filter")
    old = {sample.id: evaluation for sample in samples if (evaluation := before.get(sample.id))}
    _require_edited(name, samples, old=old)
    if name == "judge":
        samples = [sample for sample in samples if sample.id in old]
    tried, failed, spent_usd = dict[int, Tried](), list[CallFailed](), list[float]()
    stopping = Stopping()

    async def try_all() -> None:
        async with open_asker(run.settings, journal=run.journal, stopping=stopping) as ask:
            require_same_house(run, is_local=ask.provider("scenario").is_local)
            paid_before, price = ask.budget.spent_usd, _price_line(run, samples, name=name, judged=_judged_already(old))
            with progress_bar(len(samples), description=f"Trying the {name} prompt, {price}", unit="samples") as bar:

                async def one(index: int, sample: Sample) -> None:
                    try:
                        tried[index] = await _beside(ask, sample, name=name, old=old.get(sample.id))
                    except CallFailed as problem:
                        failed.append(problem)
                    bar.update(1)

                await for_each(one, samples, width=min(ask.workers, len(samples)), stopping=stopping)
            spent_usd.append(ask.budget.spent_usd - paid_before)

    finish(try_all(), stopping)
    if not tried:
        raise TrialError(f"None of the {counted(len(samples), 'sample')} could be answered and judged: {failed[0]}.")
    return Trial(
        name, tuple(tried[index] for index in sorted(tried)), len(failed), spent_usd[0], short_path(run.notebooks / "02_filter.ipynb")
    )


async def _beside(ask: Asker, sample: Sample, *, name: str, old: Evaluation | None) -> Tried:
    """Return the sample as it was answered and judged before the edit, and as it is after it. Raises CallFailed."""
    if name == "judge" and old:
        return Tried(
            sample, _answered(sample, old, settings=ask.settings), _answered(sample, await judge_sample(ask, sample), settings=ask.settings)
        )
    about = sample.metadata
    prompt = gold_prompt(about, about, rubrics=about.rubrics if ask.settings.show_rubrics_to_tutor else ())
    gold = await ask("gold", sample.id, prompt=prompt, answer=GoldAnswer)
    new = sample.with_response(gold.answer.response)
    before, after = await judge_sample(ask, sample), await judge_sample(ask, new)
    return Tried(sample, _answered(sample, before, settings=ask.settings), _answered(new, after, settings=ask.settings))


def _answered(sample: Sample, evaluation: Evaluation, *, settings: Settings) -> Answered:
    return Answered(sample.response, evaluation, drop_reason(sample, evaluation, settings=settings) is None)


def _samples(run: Run, ids: Collection[str]) -> list[Sample]:
    """Return the samples with these ids, or else a few of the plan's that are the same each time."""
    of_plan = [sample.id for sample in made_samples(run) if sample.metadata.origin == "plan"]
    wanted = set(ids) or set(drawn(of_plan, count=min(SAMPLES, len(of_plan)), seed=f"{run.settings.random_seed}/trial"))
    found = [sample for sample in made_samples(run) if sample.id in wanted]
    if unknown := wanted - {sample.id for sample in found}:
        raise TrialError(f"{', '.join(sorted(unknown))}: no such sample in {run.dir}. Copy ids from report.html or dropped.jsonl.")
    if not found:
        raise TrialError(f"{run.dir}: no sample was made that a prompt could be tried on. Run 01_generate first.")
    return found


def _require_edited(name: str, samples: Sequence[Sample], *, old: Mapping[str, Evaluation]) -> None:
    """Raise TrialError when the prompt is the one that made, or judged, these samples."""
    if name == "judge":
        if not old:
            raise TrialError("No sample has been judged yet, so there is nothing to hold the judge's edited prompt against. Judge first.")
        edited = any(evaluation.prompt_sha256 != template_sha256("judge") for evaluation in old.values())
    else:
        edited = any(sample.metadata.prompt_sha256.get("gold") != template_sha256(gold_template(sample.metadata)) for sample in samples)
    if not edited:
        files = f"lib/prompts/{name}_system.md and {name}_user.md"
        raise TrialError(f"{files} are as they were for this run. Edit one of them, then run this cell again.")


def _judged_already(old: Mapping[str, Evaluation]) -> int:
    """Return how many of the old responses were judged with the judge's prompt as it is now, and are not paid again."""
    return sum(evaluation.prompt_sha256 == template_sha256("judge") for evaluation in old.values())


def _price_line(run: Run, samples: Sequence[Sample], *, name: str, judged: int) -> str:
    """Return what the trial may cost, as "about $0.05 to $0.21". Of the old responses, `judged` need no judgement."""
    settings, texts = run.settings, [sample.messages[1].content + sample.response for sample in samples]
    written, estimate = sum(map(len, texts)) / max(1, len(texts)), partial(stage_estimate, settings=settings, seen=seen_in(run))
    calls = settings.votes * (len(samples) + (len(samples) - judged if name == "gold" else 0))
    parts = [estimate("judge", calls=calls, characters=len(template_text("judge")) + 2 * written + wire_schema(JudgementAnswer).characters)]
    if name == "gold":
        characters = len(template_text("gold")) + written + wire_schema(GoldAnswer).characters
        parts.append(estimate("gold", calls=len(samples), characters=characters))
    if not parts[-1].cost_usd[1]:
        return "free (embedded model)"
    return f"about ${sum(part.cost_usd[0] for part in parts):.2f} to ${sum(part.cost_usd[1] for part in parts):.2f}"
