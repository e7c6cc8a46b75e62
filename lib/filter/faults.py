"""A sample and a kind of fault -> the criterion that the fault is built on, and the criteria that it touches."""

from collections.abc import Sequence

from lib.generate.objections import is_compound
from lib.schema import Rubric, Spoiling

OF_MISCONCEPTION = ("identifies_misconception", "identifies_incorrect_steps")
EMPTY: tuple[Spoiling, ...] = ("praise_only", "other_answer", "explanation_repeated")  # faults of a reply with nothing for this student
OF_TONE = ("emotional_component", "style_tone")


def target_of(rubrics: Sequence[Rubric], spoiling: Spoiling) -> Rubric | None:
    """Return the criterion that a copy with this fault must not meet, or None when the sample has none that fits.

    Half of a criterion can be met where it joins two demands, and else most likely where it is long.
    """
    critical = [rubric for rubric in rubrics if rubric.critical]
    demands = [rubric for rubric in critical if rubric.weight > 0]
    match spoiling:
        case "ban_broken":
            fitting = [rubric for rubric in critical if rubric.weight < 0]
        case "half_met":
            fitting = sorted(demands, key=lambda rubric: (not is_compound(rubric.criteria), -len(rubric.criteria.split())))
        case "implicit_only":
            fitting = [rubric for rubric in demands if not is_of_tone(rubric)]
        case _:
            fitting = []
    return next(iter(fitting), None)


def touched(rubrics: Sequence[Rubric], spoiling: Spoiling) -> set[str]:
    """Return the ids of the criteria that a response with this fault can't meet as the original does, as far as its kind tells.

    A fault of content touches what is said of the misconception, or of facts. A response that says nothing of the subject touches all that
    a good one must do.
    """
    if target := target_of(rubrics, spoiling):
        return {target.id}
    critical = [rubric for rubric in rubrics if rubric.critical]
    demands = [rubric for rubric in critical if rubric.weight > 0]
    match spoiling:
        case "misconception_affirmed" | "near_topic":
            found = [rubric for rubric in demands if rubric.attributes.tutoring_skill in OF_MISCONCEPTION]
        case "factual_reversal" | "small_error":
            found = [rubric for rubric in critical if "truthfulness" in rubric.attributes.eval_dimension]
        case "condescension":
            found = [rubric for rubric in rubrics if is_of_tone(rubric)]
        case _:
            found = [rubric for rubric in demands if not is_of_tone(rubric)]
    return {rubric.id for rubric in found or critical}


def is_of_tone(rubric: Rubric) -> bool:
    """Whether the criterion is about how the reply speaks, and not about what it says."""
    return any(name in rubric.attributes.eval_dimension for name in OF_TONE)
