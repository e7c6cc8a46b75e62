"""A row and a candidate -> what the candidate is asked, and its reply as the judge of notebook 2 takes it.

A candidate gets the question, the explanation and the follow-up in the form of the training file, under the system prompt of the row's use
case, and no rubrics.
"""

from dataclasses import dataclass

from lib.filter.examples import SYSTEM_PROMPT, example_messages
from lib.prompts.rendering import Prompt
from lib.run.run import Run
from lib.schema import EvaluationRow, Message, Sample, SampleMetadata, Style, UseCase

MARK = "@"  # between the ids of a row and of a candidate
SYSTEM_PROMPTS: dict[UseCase, str] = {
    "explanation": SYSTEM_PROMPT,
    "feedback": (
        "You are an expert tutor. A student shows their own work on a question. Tell them what in it is right and what is wrong, and guide "
        "them toward understanding."
    ),
    "hint": (
        "You are an expert tutor. A student works on a question and shows how far they have come. Help them with the next step by hints "
        "and guiding questions, and leave the answer to them."
    ),
}
NO_STYLE = Style(opening="", words=(0, 0), closing="")


@dataclass(frozen=True, slots=True)
class Question:
    """One row for one candidate."""

    row: EvaluationRow
    candidate: str
    place: int  # of the candidate, as the settings name them

    @property
    def id(self) -> str:
        return question_id(self.row, self.candidate)


def question_id(row: EvaluationRow, candidate: str) -> str:
    return f"{row.id}{MARK}{candidate}"


class EvaluationFolder(Run):
    """The folder `evaluation/` of a run, with the run's settings. Its journal and its budget are its own."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.settings)
        self.dir = run.dir / "evaluation"

    @property
    def source(self) -> None:
        """No journal of another run has answers of candidates."""


def prompt_of(row: EvaluationRow) -> Prompt:
    """Return what a candidate is asked, which is the training form without its reply."""
    if row.use_case == "explanation":
        user = example_messages(as_sample(Question(row, "", 0), response=""))[1]["content"]
    else:
        user = f"## Question\n{row.question}\n\n## Student's Work\n{row.follow_up}"
    return Prompt(SYSTEM_PROMPTS[row.use_case], user)


def as_sample(question: Question, *, response: str) -> Sample:
    """Return the row with a reply as the judge of notebook 2 takes it."""
    row = question.row
    about = SampleMetadata(
        subject=row.subject,
        topic="",
        level="",
        misconception_type=row.misconception_type,
        misconception="",
        question=row.question,
        explanation=row.explanation,
        follow_up=row.follow_up,
        rubrics=row.rubrics,
        style=NO_STYLE,
        seed_row=0,
        seed_sha256="",
        seed_prompt_sha256=row.group,
        provider="",
        models={},
        prompt_sha256={},
    )
    turns = (Message(role="system", content=""), Message(role="user", content=""), Message(role="assistant", content=response))
    return Sample(id=question.id, messages=turns, metadata=about)
