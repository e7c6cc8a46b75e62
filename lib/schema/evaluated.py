"""What notebook 05 stores: the rows that candidates answer, and what they answered."""

from typing import Literal, Self

from lib.schema.made import Evaluation, Sample
from lib.schema.planned import Record, Rubric, prompt_digest

UseCase = Literal["explanation", "feedback", "hint"]  # TutorBench's three: UC1, UC2 and UC3


class EvaluationRow(Record):
    """A question with a follow-up and the rubrics of a good reply. The candidate never sees the rubrics."""

    id: str
    use_case: UseCase
    question: str
    explanation: str  # "" but in the first use case
    follow_up: str  # or the student's own work
    rubrics: tuple[Rubric, ...]
    subject: str
    misconception_type: str = ""  # of the run's own rows
    seed_prompt_sha256: str = ""  # of the run's own rows, of which several come from one seed

    @classmethod
    def of(cls, sample: Sample) -> Self:
        """Return a sample of the run as a row."""
        about = sample.metadata
        return cls(
            id=sample.id,
            use_case="explanation",
            question=about.question,
            explanation=about.explanation,
            follow_up=about.follow_up,
            rubrics=about.rubrics,
            subject=about.subject,
            misconception_type=about.misconception_type,
            seed_prompt_sha256=about.seed_prompt_sha256,
        )

    @property
    def group(self) -> str:
        """A digest that rows of the same question share, and rows of the run itself that come from one seed."""
        return self.seed_prompt_sha256 or prompt_digest(self.question)


class CandidateAnswer(Record):
    """A candidate's reply to a row, and the judge's verdicts on it."""

    id: str
    row_id: str
    candidate: str  # as the setting names it
    model: str  # as the endpoint named it
    response: str
    evaluation: Evaluation
