"""A scenario -> passed, or dropped with a reason before its response is paid for.

Another model than the writer solves the question, says whether the explanation is right, names the misconception without knowing which
was assigned, and weighs each criterion. The kit recomputes the equations that it lists. Of some scenarios it also checks a copy whose
explanation was made wrong on purpose, which measures how much it lets through. Such copies are only made of scenarios that passed.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from lib.generate.dealing import drawn
from lib.generate.equations import check
from lib.generate.inputs import Plan
from lib.llm.ask import Asker
from lib.llm.call import CallFailed
from lib.prompts.answers import EquationAnswer, MisstatedAnswer, ScenarioAnswer, VerificationAnswer
from lib.prompts.rendering import misstate_prompt, verify_prompt
from lib.prompts.rubric_ids import OwnIds
from lib.schema import DroppedScenario, Misstating, PlantedExplanation, Rubric, Slot, Verification
from lib.settings import Settings
from lib.taxonomy import label

FEWEST_CRITERIA, FEWEST_CRITICAL = 5, 3  # that must stay when unfair ones are taken out
WRONG_EXPLANATION = ("wrong_number", "wrong_explanation")
UNFAIR_CRITERIA = "unfair_criteria"
DROP_REASONS = (  # in the order in which they are looked for
    *WRONG_EXPLANATION, "no_definite_belief", "belief_in_control", "other_kind", UNFAIR_CRITERIA,
)  # fmt: skip
MISSTATINGS: tuple[Misstating, ...] = get_args(Misstating)
MORE_TO_MISSTATE = 1.25  # times the number of planted failures, because a scenario that is dropped gets no copy
MARK = "+"  # between a slot's id and the error in the copy of its explanation, because no slot's id holds one


@dataclass(frozen=True, slots=True)
class Verified:
    """What the verifier found of a scenario."""

    reason: str  # why it is dropped, or ""
    detail: str
    rubrics: tuple[Rubric, ...]  # without those that were taken out
    record: Verification


async def verify(ask: Asker, slot: Slot, *, scenario: ScenarioAnswer, rubrics: tuple[Rubric, ...], name: str = "") -> Verified:
    """Return what the verifier finds. `name` is the id to ask under, the slot's own unless given. Raises CallFailed."""
    own = OwnIds([rubric.id for rubric in rubrics])

    def objection(answer: VerificationAnswer) -> str:
        return own.objection((found.rubric_id for found in answer.criteria), what="criteria")

    prompt = verify_prompt(slot, scenario, rubrics=rubrics)
    reply = await ask("verify", name or slot.id, prompt=prompt, answer=VerificationAnswer, objection=objection)
    answer = reply.answer
    results = [check(equation) for equation in answer.equations]
    computed = Counter(results)
    unfair = {own.of(found.rubric_id) for found in answer.criteria if not (found.fair and found.single and found.decidable)}
    kept = tuple(rubric for rubric in rubrics if rubric.id not in unfair)
    wrong = next((equation for equation, result in zip(answer.equations, results, strict=True) if result == "wrong"), None)
    reason, detail = next(_reasons(answer, slot=slot, kept=kept, wrong=wrong), ("", ""))
    record = Verification(
        model=reply.model,
        kind=answer.kind,
        belief=answer.belief,
        equations=computed["holds"],
        not_computed=computed["not computed"],
        not_computable=answer.not_computable,
        criteria_removed=tuple(rubric.criteria for rubric in rubrics if rubric.id in unfair),
    )
    return Verified(reason, detail, kept, record)


def _reasons(
    answer: VerificationAnswer, *, slot: Slot, kept: tuple[Rubric, ...], wrong: EquationAnswer | None
) -> Iterator[tuple[str, str]]:
    """Yield each reason to drop the scenario, with its detail. `wrong` is the first equation that does not hold."""
    if wrong:
        yield "wrong_number", f"{wrong.expression} is not {wrong.claimed}"
    if not (answer.explanation_right and answer.explanation_agrees):
        differs = f"the verifier's own answer differs: {answer.own_answer}"
        yield "wrong_explanation", answer.explanation_problem or differs
    if slot.is_control:
        if answer.beliefs != "none":
            yield "belief_in_control", f"the student is not wrong by assignment, and believes: {answer.belief or answer.beliefs}"
    elif answer.beliefs != "one":
        yield "no_definite_belief", f"false beliefs in the follow-up: {answer.beliefs}{f' ({answer.belief})' if answer.belief else ''}"
    elif answer.kind != slot.misconception_type:
        yield "other_kind", f"{label(answer.kind)}: {answer.kind_reasoning}"
    critical = sum(rubric.critical for rubric in kept)
    if len(kept) < FEWEST_CRITERIA or critical < FEWEST_CRITICAL:
        problems = "; ".join(f"{found.rubric_id}: {found.problem}" for found in answer.criteria if found.problem)
        yield UNFAIR_CRITERIA, f"only {len(kept)} criteria, {critical} of them critical, are fair, single and decidable ({problems})"


def dropped(slot: Slot, scenario: ScenarioAnswer, *, rubrics: tuple[Rubric, ...], found: Verified) -> DroppedScenario:
    """Return the record of a scenario that is dropped."""
    return DroppedScenario(
        id=slot.id,
        reason=found.reason,
        detail=found.detail,
        subject=slot.subject,
        misconception_type=slot.misconception_type,
        topic=slot.topic or scenario.topic,
        level=slot.level,
        origin=slot.origin,
        misconception=scenario.misconception,
        question=scenario.question,
        explanation=scenario.explanation,
        follow_up=scenario.follow_up,
        rubrics=rubrics,
        style=slot.style,
        student=slot.student,
        verification=found.record,
    )


async def planted_explanation(
    ask: Asker, slot: Slot, *, scenario: ScenarioAnswer, rubrics: tuple[Rubric, ...], misstating: Misstating
) -> PlantedExplanation | None:
    """Return what the verifier says of a copy with a wrong explanation, or None when the copy or the answer can't be had."""
    name = f"{slot.id}{MARK}{misstating}"
    try:
        wrong = await ask("misstate", name, prompt=misstate_prompt(scenario, misstating), answer=MisstatedAnswer)
        copy = scenario.model_copy(update={"explanation": wrong.answer.explanation})
        found = await verify(ask, slot, scenario=copy, rubrics=rubrics, name=name)
    except CallFailed:  # the sample itself does not depend on it
        return None
    about = {"misstating": misstating, "explanation": wrong.answer.explanation, "fault": wrong.answer.fault}
    return PlantedExplanation(id=name, sample_id=slot.id, reason=found.reason, **about)


def misstated_count(settings: Settings) -> int:
    """Return how many slots are drawn for a copy with a wrong explanation."""
    return min(settings.planned_samples, math.ceil(MORE_TO_MISSTATE * settings.planned_planted))


def to_misstate(plan: Plan) -> dict[str, Misstating]:
    """Return the slots whose explanation is verified once more in a copy with an error, and which error."""
    settings = plan.settings
    if not (settings.verify_scenarios and settings.planned_planted):
        return {}
    ids = drawn(plan.ids, count=misstated_count(settings), seed=f"{settings.random_seed}/misstated")
    return {name: MISSTATINGS[rank % len(MISSTATINGS)] for rank, name in enumerate(ids)}
