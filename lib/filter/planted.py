"""judged samples -> spoiled copies of a few of them, judged blind among the others, to measure what the judge lets through.

The copies are drawn by the run's random seed, never exported, and each differs from its original. Three kinds need no call, the others
are written by the generator's model. Idea: judges miss over half of planted errors (FBI, arXiv 2406.13439).
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lib.generate.dealing import spoilings
from lib.llm.ask import Asker
from lib.prompts.answers import SpoiledAnswer
from lib.prompts.rendering import spoil_prompt
from lib.schema import Rubric, Sample, Spoiling

MARK = "+"  # between the sample's id and the kind of spoiling, because no slot's id holds one
OF_MISCONCEPTION = ("identifies_misconception", "identifies_incorrect_steps")
OF_TONE = ("emotional_component", "style_tone")
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
    """A copy that is to be spoiled."""

    sample: Sample
    spoiling: Spoiling
    other: str  # the response of another sample

    @property
    def id(self) -> str:
        return f"{self.sample.id}{MARK}{self.spoiling}"


def with_plants(samples: Iterable[Sample], ranks: dict[str, int], *, random_seed: int) -> Iterator[Sample | Plant]:
    """Yield the samples. After each sample that was drawn, yield its copy to be spoiled."""
    other = ""
    for sample in samples:
        yield sample
        if sample.id in ranks:
            yield Plant(sample, _possible(spoilings(ranks[sample.id], random_seed=random_seed), sample, other=other), other)
        other = sample.response


async def spoil(ask: Asker, plant: Plant) -> SpoiledAnswer:
    """Return the spoiled response and its fault. Raises CallFailed when the model writes none that differs from the original."""
    sample = plant.sample
    if plant.spoiling == "other_answer":
        return SpoiledAnswer(response=plant.other, fault="the reply to another student's follow-up")
    if plant.spoiling == "explanation_repeated":
        return SpoiledAnswer(response=sample.metadata.explanation, fault="the first explanation again, word by word")
    if plant.spoiling == "praise_only":
        picked = random.Random(f"{ask.settings.random_seed}/{sample.id}/praise").sample(PRAISE, 5)
        return SpoiledAnswer(response=" ".join(picked), fault="praise, and nothing about the subject")
    objection = differs_from(sample.response)
    return (await ask("spoil", plant.id, prompt=spoil_prompt(sample, plant.spoiling), answer=SpoiledAnswer, objection=objection)).answer


def differs_from(original: str) -> Callable[[SpoiledAnswer], str]:
    """Return the objection to a copy that equals the original but for white space and case. The objection to others is ""."""
    return lambda answer: "the spoiled reply is the original" if _bare(answer.response) == _bare(original) else ""


def spoiled_copy(plant: Plant, spoiled: SpoiledAnswer) -> Sample:
    """Return what the judge is shown, which is the sample with the spoiled response, under the plant's id."""
    return plant.sample.with_response(spoiled.response, id=plant.id)


def touched(rubrics: Sequence[Rubric], spoiling: Spoiling) -> set[str]:
    """Return the ids of the criteria that a response with this fault can't meet as the original does, as far as its kind tells.

    A fault of content touches what is said of the misconception, or of facts. A response that says nothing of the subject touches all that
    a good one must do.
    """
    critical = [rubric for rubric in rubrics if rubric.critical]
    demands = [rubric for rubric in critical if rubric.weight > 0]
    match spoiling:
        case "ban_broken":
            found = [rubric for rubric in critical if rubric.weight < 0][:1]
        case "misconception_affirmed":
            found = [rubric for rubric in demands if rubric.attributes.tutoring_skill in OF_MISCONCEPTION]
        case "factual_reversal":
            found = [rubric for rubric in critical if "truthfulness" in rubric.attributes.eval_dimension]
        case "condescension":
            found = [rubric for rubric in rubrics if any(name in rubric.attributes.eval_dimension for name in OF_TONE)]
        case _:
            found = demands
    return {rubric.id for rubric in found or critical}


def _possible(kinds: list[Spoiling], sample: Sample, *, other: str) -> Spoiling:
    """Return the first kind of spoiling that this sample allows."""
    allowed: dict[Spoiling, bool] = {
        "ban_broken": any(rubric.weight < 0 for rubric in sample.metadata.rubrics),
        "other_answer": _bare(other) not in ("", _bare(sample.response)),
        "explanation_repeated": _bare(sample.metadata.explanation) != _bare(sample.response),
    }
    return next(kind for kind in kinds if allowed.get(kind, True))


def _bare(text: str) -> str:
    return " ".join(text.split()).casefold()
