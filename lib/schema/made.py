"""What comes out of a run: samples, dropped scenarios, evaluations, planted copies, decisions and failures."""

import hashlib
from typing import Any, Literal

from lib.schema.planned import Misstating, Origin, Record, Rubric, Spoiling, Student, Style


class Message(Record):
    role: Literal["system", "user", "assistant"]
    content: str


class Verification(Record):
    """What the verifier found in a scenario."""

    model: str
    kind: str  # of the misconception, as the verifier named it blind
    belief: str
    equations: int  # that were recomputed and agree
    not_computed: int  # that could not be evaluated
    not_computable: str = ""  # what is claimed by calculation and could not be written as an equation
    criteria_removed: tuple[str, ...] = ()  # the texts of unfair criteria


class SampleMetadata(Record):
    subject: str
    topic: str
    level: str
    misconception_type: str
    misconception: str
    question: str
    explanation: str
    follow_up: str
    rubrics: tuple[Rubric, ...]
    style: Style
    student: Student | None = None
    verification: Verification | None = None  # None when scenarios were not verified
    seed_row: int
    seed_sha256: str
    seed_prompt_sha256: str
    provider: str
    models: dict[str, str]
    prompt_sha256: dict[str, str]
    notice: str = ""
    origin: Origin = "plan"
    repaired_from: str = ""

    @property
    def is_control(self) -> bool:
        """Whether the student of this sample is not wrong."""
        return self.origin == "control"


class Sample(Record):
    id: str
    messages: tuple[Message, Message, Message]
    metadata: SampleMetadata

    @property
    def response(self) -> str:
        return self.messages[2].content

    def with_response(self, response: str, **changes: Any) -> "Sample":
        """Return the sample with another response, and with these `changes` of its other fields."""
        system, user, _ = self.messages
        return self.model_copy(update={"messages": (system, user, Message(role="assistant", content=response)), **changes})

    def with_rubrics(self, rubrics: tuple[Rubric, ...], *, id: str) -> "Sample":
        return self.model_copy(update={"id": id, "metadata": self.metadata.model_copy(update={"rubrics": rubrics})})

    @property
    def response_id(self) -> str:
        """A short name of the response. It begins with a letter, so that a spreadsheet does not take it for a number."""
        return _short_name(self.response)

    @property
    def question_id(self) -> str:
        """The same for the exchange that the response answers."""
        about = self.metadata
        return _short_name("\x00".join((about.question, about.explanation, about.follow_up)))


def _short_name(text: str) -> str:
    return "x" + hashlib.sha256(text.encode()).hexdigest()[:8]


class DroppedScenario(Record):
    """A scenario that the verifier dropped before its response was paid for, with what it found."""

    id: str
    reason: str
    detail: str
    subject: str
    misconception_type: str
    topic: str
    level: str
    origin: Origin
    misconception: str
    question: str
    explanation: str
    follow_up: str
    rubrics: tuple[Rubric, ...]
    style: Style
    student: Student
    verification: Verification


class PlantedExplanation(Record):
    """A scenario whose explanation was made wrong on purpose, and what the verifier said of it. It is never exported."""

    id: str
    sample_id: str
    misstating: Misstating
    explanation: str
    fault: str
    reason: str  # why the verifier would drop it, or ""


class Verdict(Record):
    """The judge's verdict on one criterion. With several votes it is the majority's, in the words of the first vote that agrees with it."""

    rubric_id: str
    met: bool
    reasoning: str
    evidence: str  # words quoted from the response
    evidence_found: bool | None  # whether the quote stands in the response; None when nothing is quoted
    votes: tuple[bool, ...] = ()  # empty with a single vote


class Evaluation(Record):
    """A complete set of verdicts, in the rubrics' own order."""

    id: str
    verdicts: tuple[Verdict, ...]
    quality_score: Literal[1, 2, 3, 4, 5]
    strengths: tuple[str, ...]
    weaknesses: tuple[str, ...]
    provider: str
    model: str  # those of a panel with commas between them
    prompt_sha256: str
    notice: str = ""
    panel: tuple[str, ...] = ()  # the judge of each vote, as the settings name it; empty with a single judge


class Planted(Record):
    """A copy of a judged sample, spoiled or in another form, with its verdicts. It is never exported."""

    id: str
    sample_id: str
    spoiling: Spoiling
    response: str
    fault: str
    evaluation: Evaluation
    one_by_one: tuple[Verdict, ...] = ()  # on the critical criteria, each from a call of its own; empty when that was not asked for


class Decision(Record):
    """Whether a made sample was kept, dropped or not judged, and why."""

    id: str
    status: Literal["kept", "dropped", "unjudged"]
    reason: str = ""
    detail: str = ""


class Failure(Record):
    """A sample that could not be made or judged, with the stage and the reason."""

    id: str
    stage: str
    reason: str
    detail: str
