"""judged samples -> spoiled copies of a few of them, judged blind among the others: what the judge lets through measures the judge.

The copies are drawn by the run's random seed, never exported, and each differs from its original. Three kinds need no call; the others
are written by the generator's model. Idea: judges miss over half of planted errors (FBI, arXiv 2406.13439).
"""

import hashlib
import random
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

from lib.llm.ask import Asker
from lib.llm.call import Call
from lib.prompts.answers import SpoiledAnswer
from lib.prompts.rendering import spoil_prompt
from lib.schema import Message, Sample, Spoiling
from lib.settings import planted_count

SPOILINGS: tuple[Spoiling, ...] = get_args(Spoiling)
MARK = "+"  # between the sample's id and the kind: no slot's id holds one
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
    """A copy to be spoiled. `other` is the response of another sample."""

    sample: Sample
    spoiling: Spoiling
    other: str

    @property
    def id(self) -> str:
        return f"{self.sample.id}{MARK}{self.spoiling}"


@dataclass(frozen=True, slots=True)
class Spoiled:
    """The copy, and what is wrong with it."""

    response: str
    fault: str


def drawn(ids: Collection[str], *, share: float, random_seed: int) -> dict[str, int]:
    """Return the ids to plant, with their rank in the draw."""
    ranked = sorted(ids, key=lambda name: hashlib.sha256(f"{random_seed}/{name}/planted".encode()).digest())
    return {name: rank for rank, name in enumerate(ranked[: planted_count(len(ids), share)])}


def with_plants(samples: Iterable[Sample], ranks: dict[str, int], *, random_seed: int) -> Iterator[Sample | Plant]:
    """Yield the samples, each one drawn followed by its copy to be spoiled."""
    deck = list(SPOILINGS)
    random.Random(f"{random_seed}/spoilings").shuffle(deck)
    other = ""
    for sample in samples:
        yield sample
        if sample.id in ranks:
            yield Plant(sample, _possible(deck, ranks[sample.id], sample, other), other)
        other = sample.response


async def spoil(ask: Asker, plant: Plant) -> Spoiled:
    """Return the spoiled response. Raises CallFailed when the model won't write one that differs from the original."""
    sample, settings = plant.sample, ask.settings
    if plant.spoiling == "other_answer":
        return Spoiled(plant.other, "the reply to another student's follow-up")
    if plant.spoiling == "explanation_repeated":
        return Spoiled(sample.metadata.explanation, "the first explanation again, word by word")
    if plant.spoiling == "praise_only":
        picked = random.Random(f"{settings.random_seed}/{sample.id}/praise").sample(PRAISE, 5)
        return Spoiled(" ".join(picked), "praise, and nothing about the subject")
    prompt = spoil_prompt(sample, plant.spoiling)
    call = Call(
        plant.id, "spoil", settings.model, prompt, SpoiledAnswer, settings.max_tokens, settings.gold_effort,
        objection=differs_from(sample.response),
    )  # fmt: skip
    answer = (await ask(call)).answer
    return Spoiled(answer.response, answer.fault)


def differs_from(original: str) -> Callable[[SpoiledAnswer], str]:
    """Return the objection to a copy that says the same ("" when it differs in more than white space and case)."""
    return lambda answer: "the spoiled reply is the original" if _said(answer.response) == _said(original) else ""


def spoiled_copy(plant: Plant, spoiled: Spoiled) -> Sample:
    """Return what the judge is shown: the sample with the spoiled response, under the plant's id."""
    system, user, _ = plant.sample.messages
    return plant.sample.model_copy(update={"id": plant.id, "messages": (system, user, Message(role="assistant", content=spoiled.response))})


def _possible(deck: list[Spoiling], rank: int, sample: Sample, other: str) -> Spoiling:
    """Return the kind at this rank of the deck, or the next one that this sample allows."""
    allowed: dict[Spoiling, bool] = {
        "ban_broken": any(rubric.weight < 0 for rubric in sample.metadata.rubrics),
        "other_answer": _said(other) not in ("", _said(sample.response)),
        "explanation_repeated": _said(sample.metadata.explanation) != _said(sample.response),
    }
    turned = deck[rank % len(deck) :] + deck[: rank % len(deck)]
    return next(kind for kind in turned if allowed.get(kind, True))


def _said(text: str) -> str:
    return " ".join(text.split()).casefold()
