"""What goes into a run, which is rubrics, seeds and the slots of its plan."""

import hashlib
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from lib.errors import is_blank

Severity = Literal["critical", "critical_negative", "not_critical"]
WEIGHT_OF: dict[Severity, int] = {"critical": 5, "critical_negative": -5, "not_critical": 1}

Plain = Literal[
    "other_answer", "explanation_repeated", "praise_only", "misconception_affirmed", "factual_reversal", "condescension", "ban_broken",
]  # fmt: skip
Subtle = Literal["half_met", "implicit_only", "near_topic", "small_error"]
Harmless = Literal["layout", "paraphrased", "longer"]  # changes of form alone, so that the verdict must hold
Spoiling = Literal[Plain, Subtle, Harmless]  # what a copy of a response has that the response has not
Misstating = Literal["wrong_number", "wrong_claim"]  # what is wrong in an explanation that was made wrong on purpose
Origin = Literal["plan", "control", "repair", "top_up"]


def _visible(text: str) -> str:
    if not is_blank(text):
        return text
    raise ValueError("nothing in it can be seen")


def prompt_digest(prompt: str) -> str:
    """Return a digest of a question, whatever white space is in it."""
    return hashlib.sha256(" ".join(prompt.split()).encode()).hexdigest()


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_visible)]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RubricAttributes(Record):
    """TutorBench's attributes of a criterion."""

    severity: Severity
    tutoring_skill: str
    eval_dimension: str  # names with commas between them, as in TutorBench's files
    explicitness: str
    objectivity: str


class Rubric(Record):
    """One criterion. It is phrased so that satisfied is good, also where the weight is negative ("must not …")."""

    id: str
    criteria: Text
    weight: int  # 5 and -5 are critical
    attributes: RubricAttributes

    @property
    def critical(self) -> bool:
        return self.weight in (5, -5)

    @property
    def importance(self) -> Literal["critical", "ban", "minor"]:
        """What the weight stands for, in a word that people read."""
        return "minor" if not self.critical else "critical" if self.weight > 0 else "ban"


class Seed(Record):
    """A usable row of the seed file."""

    row: int  # counts data rows from 1
    prompt: Text
    explanation: Text
    follow_up: Text
    subject: str
    rubrics: tuple[Rubric, ...]
    sha256: str

    @property
    def prompt_sha256(self) -> str:
        """A digest that rows with the same question share, whatever white space is in it."""
        return prompt_digest(self.prompt)


class Style(Record):
    """How the gold response is to open and close, and how long it is to be. It is assigned, so that responses vary."""

    opening: str
    words: tuple[int, int]  # from, to
    closing: str


class Student(Record):
    """How the student writes. It is assigned, as the style of the response is."""

    voice: str
    words: tuple[int, int]  # of the follow-up: from, to
    asks: str  # how the follow-up shows what the student believes or wants to know
    has_question: bool  # true when it must hold a question mark, false when it must not


class Slot(Record):
    """One sample to be made."""

    id: str
    seed_row: int
    subject: str
    misconception_type: str
    topic: str  # "" when the model is to choose
    level: str
    style: Style
    student: Student
    origin: Origin = "plan"  # "control" and "top_up" for slots beyond the plan

    @property
    def is_control(self) -> bool:
        """Whether the student of this slot is not wrong."""
        return self.origin == "control"
