"""The nouns that are stored in a run's files. Records are frozen and refuse unknown keys."""

import hashlib
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from lib.errors import is_blank

Severity = Literal["critical", "critical_negative", "not_critical"]
WEIGHT_OF: dict[Severity, int] = {"critical": 5, "critical_negative": -5, "not_critical": 1}

Spoiling = Literal[
    "other_answer", "explanation_repeated", "praise_only", "misconception_affirmed", "factual_reversal", "condescension", "ban_broken",
]  # fmt: skip
Origin = Literal["plan", "repair", "top_up"]


def _visible(text: str) -> str:
    if not is_blank(text):
        return text
    raise ValueError("nothing in it can be seen")


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
        return hashlib.sha256(" ".join(self.prompt.split()).encode()).hexdigest()


class Style(Record):
    """How the gold response is to open and close, and how long it is to be. It is assigned, so that responses vary."""

    opening: str
    words: tuple[int, int]  # from, to
    closing: str


class Slot(Record):
    """One sample to be made."""

    id: str
    seed_row: int
    subject: str
    misconception_type: str
    topic: str  # "" when the model is to choose
    level: str
    style: Style
    origin: Origin = "plan"  # "top_up" for slots beyond the plan


class Message(Record):
    role: Literal["system", "user", "assistant"]
    content: str


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
    seed_row: int
    seed_sha256: str
    seed_prompt_sha256: str
    provider: str
    models: dict[str, str]
    prompt_sha256: dict[str, str]
    notice: str = ""
    origin: Origin = "plan"
    repaired_from: str = ""


class Sample(Record):
    id: str
    messages: tuple[Message, Message, Message]
    metadata: SampleMetadata

    @property
    def response(self) -> str:
        return self.messages[2].content

    @property
    def response_id(self) -> str:
        """A short name of the response. It begins with a letter, so that a spreadsheet does not take it for a number."""
        return "x" + hashlib.sha256(self.response.encode()).hexdigest()[:8]


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
    model: str
    prompt_sha256: str
    notice: str = ""


class Planted(Record):
    """A spoiled copy of a judged sample, with its fault and its verdicts. It is never exported."""

    id: str
    sample_id: str
    spoiling: Spoiling
    response: str
    fault: str
    evaluation: Evaluation


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
