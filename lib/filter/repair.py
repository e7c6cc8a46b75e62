"""Near misses of a filtered run -> the same samples with a rewritten response.

A near miss failed one critical criterion. It is rewritten once with the judge's reasons, not the criteria's texts, and is judged again
blind, under an id of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lib.filter.keep import BAN_BROKEN, CRITICAL_RUBRICS_FAILED, judged_samples
from lib.filter.scores import critical_failures
from lib.llm.ask import Asker
from lib.llm.work import Pass, work_through
from lib.prompts.answers import GoldAnswer
from lib.prompts.rendering import repair_prompt, template_sha256
from lib.run.run import Run
from lib.schema import Failure, Sample


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A dropped sample, and the judge's reasons for the one critical criterion that failed."""

    sample: Sample
    objections: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.sample.id}_repaired"


def repair(run: Run) -> tuple[Failure, ...]:
    """Repair the near misses of a filtered run and return the failures."""
    misses = list(near_misses(run))
    work = Pass(
        verb="repaired",
        title="Topping up, near misses: repaired",
        things=misses,
        total=len(misses),
        make=_repaired,
        targets={Sample: run.repaired},
        is_own=lambda failure: failure.stage == "repair",
        stages=("repair",),
    )
    return work_through(run.as_made, work).failures


def near_misses(run: Run) -> Iterator[NearMiss]:
    """Yield the samples that were dropped for one critical criterion. Controls, and what was repaired before, are not repaired."""
    for judged in judged_samples(run):
        sample, evaluation = judged.sample, judged.evaluation
        if (
            evaluation is None
            or judged.decision.reason not in (BAN_BROKEN, CRITICAL_RUBRICS_FAILED)
            or sample.metadata.origin in ("repair", "control")
        ):
            continue
        if len(failed := critical_failures(sample, evaluation)) == 1:
            why = (verdict.reasoning for verdict in evaluation.verdicts if verdict.rubric_id == failed[0].id)
            yield NearMiss(sample, tuple(why))


async def _repaired(ask: Asker, miss: NearMiss) -> tuple[Sample]:
    return (await repaired_sample(ask, miss),)


async def repaired_sample(ask: Asker, miss: NearMiss) -> Sample:
    """Return the sample with its response rewritten. Raises CallFailed."""
    sample, about = miss.sample, miss.sample.metadata
    reply = await ask("repair", sample.id, prompt=repair_prompt(sample, miss.objections), answer=GoldAnswer)
    lineage = {
        "origin": "repair",
        "repaired_from": sample.id,
        "models": about.models | {"repair": reply.model},
        "prompt_sha256": about.prompt_sha256 | {"repair": template_sha256("repair")},
    }
    return sample.with_response(reply.answer.response, id=miss.id, metadata=about.model_copy(update=lineage))
