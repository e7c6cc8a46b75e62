"""What samples are about: subjects in areas, none of them TutorBench's own six, and kinds of misconception.

To add a subject, add its id to an area here and its topics to `data/topics.csv`.
"""

from dataclasses import dataclass

SUBJECTS_BY_AREA: dict[str, tuple[str, ...]] = {
    "Economics": ("microeconomics", "macroeconomics", "accounting", "finance"),
    "Social sciences": ("psychology", "sociology", "political_science", "philosophy"),
    "History": ("world_history", "us_history"),
    "Mathematics": ("linear_algebra", "discrete_math", "number_theory", "probability"),
    "Chemistry": ("organic_chemistry", "biochemistry"),
    "Biology": ("ecology", "genetics"),
    "Physics": ("electromagnetism", "thermodynamics", "fluid_dynamics", "quantum_mechanics"),
    "Computer science": ("data_structures", "algorithms", "machine_learning", "databases"),
    "Engineering": ("engineering_statics", "engineering_dynamics"),
}
SUBJECTS: tuple[str, ...] = tuple(subject for area in SUBJECTS_BY_AREA.values() for subject in area)
AREA_OF: dict[str, str] = {subject: area for area, subjects in SUBJECTS_BY_AREA.items() for subject in subjects}


@dataclass(frozen=True, slots=True)
class MisconceptionType:
    """One kind of misconception."""

    id: str
    asks: str  # the question behind the student's confusion
    description: str  # for the writer of a scenario


MISCONCEPTION_TYPES: tuple[MisconceptionType, ...] = (
    MisconceptionType(
        "why_is_step_necessary",
        "Why is this step necessary?",
        "The student can follow the steps but believes one of them is superfluous, arbitrary or may be skipped, because they do "
        "not see what it secures.",
    ),
    MisconceptionType(
        "how_concepts_relate",
        "How do these two concepts relate?",
        "The student knows both concepts apart but connects them wrongly: reverses cause and effect, treats them as independent, "
        "or takes one for a special case of the other.",
    ),
    MisconceptionType(
        "counterexample_contradiction",
        "Does this example not contradict what you said?",
        "The student brings a case of their own that seems to contradict the explanation, and misreads that case.",
    ),
    MisconceptionType(
        "overgeneralization",
        "Does the rule not always hold?",
        "The student stretches a rule beyond the conditions under which it was stated.",
    ),
    MisconceptionType(
        "confusing_similar_terms",
        "Are these two terms not the same?",
        "The student takes two similar terms, symbols or quantities for one another and reasons on from there.",
    ),
    MisconceptionType(
        "incorrect_assumption",
        "Is this not given?",
        "The student silently adds an assumption that the question does not grant, and it decides the outcome.",
    ),
    MisconceptionType(
        "procedural_vs_conceptual",
        "I can do it, but what does it mean?",
        "The student carries the procedure out correctly and draws a wrong conclusion about what it means or why it works.",
    ),
    MisconceptionType(
        "misapplying_formula",
        "Why does the formula not give this?",
        "The student uses a true formula where it does not apply, or puts the wrong quantity into it, and trusts the number.",
    ),
)
TYPE_BY_ID: dict[str, MisconceptionType] = {kind.id: kind for kind in MISCONCEPTION_TYPES}


def label(identifier: str) -> str:
    """Return an id as people read it: `us_history` -> "US history"."""
    words = identifier.replace("_", " ")
    return words.replace("us ", "US ", 1) if words.startswith("us ") else words[:1].upper() + words[1:]
