"""judged samples -> copies of a few of them, judged blind among the others: spoiled ones, plain and subtle, and harmless ones.

Spoiled copies show what the judge lets through, and harmless ones what it drops for their form alone. Copies are drawn by the run's random
seed, never exported, and each differs from its original. Some need no call, the others are written by the generator's model.
Idea: judges miss over half of planted errors (FBI, arXiv 2406.13439).
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from lib.filter.faults import target_of
from lib.filter.harmless import laid_out_anew, says_the_same
from lib.llm.ask import Asker
from lib.llm.call import no_objection
from lib.prompts.answers import RewrittenAnswer, SpoiledAnswer
from lib.prompts.rendering import rewrite_prompt, spoil_prompt
from lib.schema import Sample, Spoiling
from lib.taxonomy import MISCONCEPTION_TYPES

MARK = "+"  # between the sample's id and the kind of spoiling, because no slot's id holds one
HARMLESS_CHANGE: dict[Spoiling, str] = {
    "layout": "none: the same words in other paragraphs",
    "paraphrased": "none: the same in other words",
    "longer": "none: a third longer, with nothing new",
}
PRAISE = (
    "What a thoughtful follow-up this is.",
    "You are clearly thinking hard about this, and that is exactly what learning looks like.",
    "Questions like yours are what make a subject come alive.",
    "It takes courage to say where one is unsure, and you did it very well.",
    "Keep that curiosity going.",
    "You have already come a long way with a topic that many people find hard.",
    "I am sure that with a little more time it will all fall into place.",
    "Trust yourself: you are closer than you think.",
)


@dataclass(frozen=True, slots=True)
class Plant:
    """A copy that is to be made, spoiled or in another form."""

    sample: Sample
    spoiling: Spoiling
    other: str  # the response of another sample

    @property
    def id(self) -> str:
        return f"{self.sample.id}{MARK}{self.spoiling}"


def with_plants(samples: Iterable[Sample], copies: Mapping[str, list[list[Spoiling]]]) -> Iterator[Sample | Plant]:
    """Yield the samples. After each sample that was drawn, yield its copies, of the first kind each that it allows."""
    other = ""
    for sample in samples:
        yield sample
        for kinds in copies.get(sample.id, ()):
            yield Plant(sample, next(kind for kind in kinds if _is_possible(kind, sample, other=other)), other)
        other = sample.response


async def spoil(ask: Asker, plant: Plant) -> SpoiledAnswer:
    """Return the copy's response and its fault, or what was changed in a harmless one. Raises CallFailed when no copy fits."""
    sample, random_seed = plant.sample, ask.settings.random_seed
    match plant.spoiling:
        case "other_answer":
            return SpoiledAnswer(response=plant.other, fault="the reply to another student's follow-up")
        case "explanation_repeated":
            return SpoiledAnswer(response=sample.metadata.explanation, fault="the first explanation again, word by word")
        case "praise_only":
            picked = random.Random(f"{random_seed}/{sample.id}/praise").sample(PRAISE, 5)
            return SpoiledAnswer(response=" ".join(picked), fault="praise, and nothing about the subject")
        case "layout":
            return SpoiledAnswer(response=laid_out_anew(sample.response), fault=HARMLESS_CHANGE["layout"])
        case "paraphrased" | "longer":
            return await _rewritten(ask, plant)
    target = target_of(sample.metadata.rubrics, plant.spoiling)
    prompt = spoil_prompt(
        sample, plant.spoiling, criterion=target.criteria if target else "", other_kind=other_kind(sample, random_seed=random_seed)
    )
    return (await ask("spoil", plant.id, prompt=prompt, answer=SpoiledAnswer, objection=differs_from(sample.response))).answer


async def _rewritten(ask: Asker, plant: Plant) -> SpoiledAnswer:
    prompt = rewrite_prompt(plant.sample, plant.spoiling)
    objection = no_objection if ask.provider("spoil").is_embedded else says_the_same(plant.sample.response, plant.spoiling)
    reply = await ask("spoil", plant.id, prompt=prompt, answer=RewrittenAnswer, objection=objection)
    return SpoiledAnswer(response=reply.answer.response, fault=HARMLESS_CHANGE[plant.spoiling])


def other_kind(sample: Sample, *, random_seed: int) -> str:
    """Return what a student with another kind of misconception would do, for a copy that answers that one."""
    others = [kind for kind in MISCONCEPTION_TYPES if kind.id != sample.metadata.misconception_type]
    return random.Random(f"{random_seed}/{sample.id}/other kind").choice(others).description


def differs_from(original: str) -> Callable[[SpoiledAnswer], str]:
    """Return the objection to a copy that equals the original but for white space and case. The objection to others is ""."""
    return lambda answer: "the spoiled reply is the original" if _bare(answer.response) == _bare(original) else ""


def spoiled_copy(plant: Plant, spoiled: SpoiledAnswer) -> Sample:
    """Return what the judge is shown, which is the sample with the spoiled response, under the plant's id."""
    return plant.sample.with_response(spoiled.response, id=plant.id)


def _is_possible(kind: Spoiling, sample: Sample, *, other: str) -> bool:
    """Whether the sample allows this kind of copy."""
    match kind:
        case "other_answer":
            return _bare(other) not in ("", _bare(sample.response))
        case "explanation_repeated":
            return _bare(sample.metadata.explanation) != _bare(sample.response)
        case "ban_broken" | "half_met" | "implicit_only":
            return target_of(sample.metadata.rubrics, kind) is not None
        case "layout":
            return laid_out_anew(sample.response) not in ("", sample.response)
    return True


def _bare(text: str) -> str:
    return " ".join(text.split()).casefold()
