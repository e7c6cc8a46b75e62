"""A scenario -> the rules that it breaks. The writer is told once, and a scenario that still breaks one counts as an invalid answer.

These are the rules of `lib/prompts/scenario_system.md` and `control_system.md` that a program can check.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator

from lib.prompts.answers import RubricAnswer, ScenarioAnswer
from lib.schema import Severity, Slot

EXPLANATION_WORDS = (80, 220)
SLACK = 0.15  # share by which a text may be longer or shorter than asked for, because models don't count
CRITICAL: dict[Severity, int] = {"critical": 4, "critical_negative": 1}  # severity -> how many
STARTS: dict[Severity, str] = {"critical_negative": "The response must not "}
START = "The response must "
BANNED_OPENERS = re.compile(r"^\W*(thanks?|thank you|wait|okay|ok|hmm+|i['’]?m confused|i am confused|but)\b", re.IGNORECASE)
DEMANDS = (
    "acknowledge address apply ask avoid calculate check clarify compare compute confirm connect contrast convey correct define derive "
    "describe distinguish encourage establish explain express give guide help identify illustrate indicate invite lead link make "
    "mention name note offer point prompt provide recogni[sz]e refute reject relate remind respond say separate show state suggest tell "
    "tie uphold"
).replace(" ", "|")
COMPOUND = re.compile(
    rf"\b(?:and|as well as)\s+(?:also |then |thereby |so |must |not )*(?:{DEMANDS})\b|\band (?:that|why|how)\b"
    r"|;\s+(?:and|also|it|that|then|they|this)\b",
    re.IGNORECASE,
)


def is_compound(criterion: str) -> bool:
    """Whether a criterion joins two demands, so that a reply could meet half of it. A ban may name two things that are both banned."""
    return not criterion.startswith(STARTS["critical_negative"]) and COMPOUND.search(criterion) is not None


def objection_for(slot: Slot) -> Callable[[ScenarioAnswer], str]:
    """Return the objection to a scenario for this slot. It is "" when nothing is wrong."""

    def objection(scenario: ScenarioAnswer) -> str:
        return "; ".join([*_about_texts(scenario, slot), *_about_rubrics(scenario.rubrics)])

    return objection


def _about_texts(scenario: ScenarioAnswer, slot: Slot) -> Iterator[str]:
    yield from _length("the explanation", scenario.explanation, words=EXPLANATION_WORDS)
    yield from _length("the follow-up", scenario.follow_up, words=slot.student.words)
    if opener := BANNED_OPENERS.match(scenario.follow_up):
        yield f"the follow-up begins with “{opener[1]}”"
    if slot.student.has_question and "?" not in scenario.follow_up:
        yield "the follow-up holds no question mark, and this student asks"
    if not slot.student.has_question and "?" in scenario.follow_up:
        yield "the follow-up holds a question mark, and this student does not ask"


def _length(name: str, text: str, *, words: tuple[int, int]) -> Iterator[str]:
    count, (low, high) = len(text.split()), words
    if not low * (1 - SLACK) <= count <= high * (1 + SLACK):
        yield f"{name} has {count} words, and {low} to {high} were asked for"


def _about_rubrics(rubrics: list[RubricAnswer]) -> Iterator[str]:
    counts = Counter(rubric.severity for rubric in rubrics)
    for severity, wanted in CRITICAL.items():
        if counts[severity] != wanted:
            yield f"{counts[severity]} criteria are {severity}, and exactly {wanted} must be"
    for number, rubric in enumerate(rubrics, start=1):
        if not rubric.criteria.startswith(start := STARTS.get(rubric.severity, START)):
            yield f"criterion {number} does not begin “{start.strip()}”"
        if is_compound(rubric.criteria):
            yield f"criterion {number} joins two demands (“{rubric.criteria}”)"
