"""What notebook 05 stores: the rows that candidates answer, and what they answered."""

from typing import Literal

from lib.schema.made import Evaluation
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

    @property
    def group(self) -> str:
        """A digest that rows with the same question share."""
        return prompt_digest(self.question)


class CandidateAnswer(Record):
    """A candidate's reply to a row, and the judge's verdicts on it."""

    id: str
    row_id: str
    candidate: str  # as the setting names it
    model: str  # as the endpoint named it
    response: str
    evaluation: Evaluation
