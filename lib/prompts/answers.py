"""What the models are asked to answer.

The classes go to the provider as JSON schemas: the provider enforces their enums and required fields, pydantic the bounds, and fields
stand in the order the model should think in.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lib.schema import Severity, Text

TutoringSkill = Literal[
    "identifies_misconception",
    "acknowledges_correct_steps",
    "identifies_incorrect_steps",
    "states_definition_or_law",
    "step_by_step_help",
    "asks_guiding_question",
    "example_or_analogy",
    "alternative_approach",
    "not_applicable",
]
Kind = Literal[
    "why_is_step_necessary",
    "how_concepts_relate",
    "counterexample_contradiction",
    "overgeneralization",
    "confusing_similar_terms",
    "incorrect_assumption",
    "procedural_vs_conceptual",
    "misapplying_formula",
    "no_misconception",
]
EvalDimension = Literal[
    "truthfulness",
    "instruction_following",
    "student_level_calibration",
    "conciseness_relevance",
    "style_tone",
    "emotional_component",
]
Strength = Literal[
    "names_the_misconception",
    "explains_why_it_is_wrong",
    "accurate_content",
    "builds_on_what_is_right",
    "clear_structure",
    "concrete_example",
    "guiding_question",
    "right_level",
    "warm_tone",
    "concise",
]
Weakness = Literal[
    "misses_the_misconception",
    "factual_error",
    "repeats_the_explanation",
    "too_long",
    "too_short",
    "vague",
    "gives_no_reason",
    "wrong_level",
    "condescending",
    "empty_praise",
    "no_check_of_understanding",
]


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RubricAnswer(Answer):
    criteria: Annotated[Text, Field(description="One checkable sentence: 'The response must …' or 'The response must not …'.")]
    severity: Severity
    tutoring_skill: TutoringSkill
    eval_dimension: Annotated[list[EvalDimension], Field(min_length=1, max_length=3)]
    explicitness: Literal["explicit", "implicit"]
    objectivity: Literal["objective", "subjective"]


class ScenarioAnswer(Answer):
    topic: Annotated[Text, Field(description="The topic in a few words; the assigned one where one is assigned.")]
    question: Annotated[Text, Field(description="The student's question, self-contained.")]
    explanation: Annotated[Text, Field(description="The first explanation the student was given: correct.")]
    misconception: Annotated[Text, Field(description="One clause: what exactly the student has wrong.")]
    follow_up: Annotated[Text, Field(description="What the student writes back, in their own voice.")]
    rubrics: Annotated[list[RubricAnswer], Field(min_length=6, max_length=8)]


class EquationAnswer(Answer):
    expression: Annotated[str, Field(description="Numbers, operators, functions and units only, as the explanation computes it.")]
    claimed: Annotated[str, Field(description="The value that the explanation gives, as an expression of the same kind.")]
    tolerance: Annotated[float, Field(description="The relative error that the explanation's rounding allows, 0 to 0.1.")]


class CriterionCheckAnswer(Answer):
    rubric_id: str
    problem: Annotated[str, Field(description="What is wrong with the criterion; empty when it is fine.")]
    fair: bool
    single: bool
    decidable: bool


class VerificationAnswer(Answer):
    own_answer: Annotated[Text, Field(description="The question solved from the question alone.")]
    equations: Annotated[list[EquationAnswer], Field(max_length=12)]
    not_computable: Annotated[str, Field(description="What is claimed by calculation and can't be written as an equation; else empty.")]
    explanation_problem: Annotated[str, Field(description="Everything false in the explanation; empty when there is nothing.")]
    explanation_agrees: bool
    explanation_right: bool
    belief: Annotated[str, Field(description="One clause: what the student believes that is false; empty when nothing is.")]
    beliefs: Literal["none", "one", "several", "unclear"]
    kind_reasoning: str
    kind: Kind
    criteria: Annotated[list[CriterionCheckAnswer], Field(min_length=1)]


class MisstatedAnswer(Answer):
    fault: Annotated[Text, Field(description="One clause: what is wrong in the copy, and what would be right.")]
    explanation: Annotated[Text, Field(description="The explanation with the error.")]


class GoldAnswer(Answer):
    response: Annotated[Text, Field(description="The tutor's reply to the follow-up, ready to be read by the student.")]


class PlainAnswer(Answer):
    """Text as a model writes it. No schema is sent for it."""

    text: Text


class SpoiledAnswer(Answer):
    fault: Annotated[Text, Field(description="One clause: what is wrong with the spoiled reply, and where.")]
    response: Annotated[Text, Field(description="The spoiled reply, ready to be read by the student.")]


class RewrittenAnswer(Answer):
    response: Annotated[Text, Field(description="The reply in its other form, ready to be read by the student.")]


class VerdictAnswer(Answer):
    rubric_id: str
    reasoning: Annotated[str, Field(description="One or two sentences.")]
    evidence: Annotated[str, Field(description="Words copied exactly from the response; empty when there are none to copy.")]
    met: bool


# A new field of the judge's answer also belongs into `schema.Evaluation` (with a default, so that old runs can be read),
# `filter/votes.evaluation` and `publish/dataset`. A docstring here would be sent to the model, and would change every reply's key.
class JudgementAnswer(Answer):
    verdicts: Annotated[list[VerdictAnswer], Field(min_length=1)]
    strengths: Annotated[list[Strength], Field(max_length=4)]
    weaknesses: Annotated[list[Weakness], Field(max_length=4)]
    quality_score: Annotated[
        Literal[1, 2, 3, 4, 5], Field(description="5: an expert would not change a word. 1: harmful or beside the point.")
    ]
