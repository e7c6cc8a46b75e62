"""What samples are about: subjects in areas, none of them TutorBench's own six, and kinds of misconception, or of none.

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
WITHOUT_FORMULAS = ("Social sciences", "History")  # areas


@dataclass(frozen=True, slots=True)
class MisconceptionType:
    """One kind of misconception. The texts are for the writer and the verifier of a scenario."""

    id: str
    asks: str  # the question behind the student's confusion
    description: str
    tie_break: str  # what tells it from the kinds that are near to it
    without_formulas: str = ""  # what it means in a subject that has no formulas


MISCONCEPTION_TYPES: tuple[MisconceptionType, ...] = (
    MisconceptionType(
        "why_is_step_necessary",
        "Why is this step necessary?",
        "The student can follow the steps but believes that one of them is superfluous, arbitrary or may be skipped, because they do "
        "not see what it secures.",
        "The belief is about one step of the explanation that could be left out or swapped, and the student says so. A student who leaves "
        "out a step without noticing it makes an assumption instead.",
        "A step is a stage of an argument, a procedure, a method of reading sources or a course of events that an institution prescribes.",
    ),
    MisconceptionType(
        "how_concepts_relate",
        "How do these two concepts relate?",
        "The student knows both concepts apart but connects them wrongly. They reverse cause and effect, treat them as independent, "
        "or take one for a special case of the other.",
        "The student keeps the two concepts apart and is wrong about what joins them. A student who takes one for the other confuses "
        "terms.",
    ),
    MisconceptionType(
        "counterexample_contradiction",
        "Does this example not contradict what you said?",
        "The student brings a case of their own that seems to contradict the explanation, and misreads that case.",
        "The student sets a concrete case against the explanation and concludes that the explanation is wrong or incomplete. A student "
        "who accepts the rule and carries it to a new case overgeneralizes instead.",
    ),
    MisconceptionType(
        "overgeneralization",
        "Does the rule not always hold?",
        "The student stretches a rule beyond the conditions under which it was stated.",
        "The student trusts the rule and applies it to a class of cases in which its conditions fail. Nothing is computed from a named "
        "formula.",
    ),
    MisconceptionType(
        "confusing_similar_terms",
        "Are these two terms not the same?",
        "The student takes two similar terms, symbols or quantities for one another and reasons on from there.",
        "One word, symbol or quantity stands where another belongs, and everything else follows correctly from the exchange.",
    ),
    MisconceptionType(
        "incorrect_assumption",
        "Is this not given?",
        "The student silently adds an assumption that the question does not grant, and it decides the outcome.",
        "A fact about this one case is added. No rule is stretched, no step of the explanation is called superfluous, and no result is "
        "read off a named rule or formula into which the wrong thing was put (that is a misapplied formula).",
    ),
    MisconceptionType(
        "procedural_vs_conceptual",
        "I can do it, but what does it mean?",
        "The student carries the procedure out correctly and draws a wrong conclusion about what it means or why it works.",
        "Every step and every result of the student is right. Only what they take the result or the procedure to mean is wrong.",
        "The procedure is a method of the subject that is carried out correctly, such as dating a source, coding an interview, counting "
        "votes, testing an argument for validity or setting events in order.",
    ),
    MisconceptionType(
        "misapplying_formula",
        "Why does the formula not give this?",
        "The student uses a true formula where it does not apply, or puts the wrong quantity into it, and trusts the number.",
        "A result is got from a named formula or rule by putting the wrong thing in, or where it does not hold. Without a formula and a "
        "result it is an overgeneralization or an assumption.",
        "The formula is a named rule, threshold, model or form of argument with fixed inputs (a two-thirds majority, an apportionment "
        "rule, a typology, modus tollens). The student puts the wrong thing in and reads a definite result off it.",
    ),
)
NO_MISCONCEPTION: tuple[MisconceptionType, ...] = (
    MisconceptionType(
        "student_is_right",
        "Have I understood it?",
        "The student reasons on from the explanation in their own words, case or numbers, and is right in everything that matters.",
        "Nothing that the student says is false. They may leave something out.",
    ),
    MisconceptionType(
        "open_question",
        "What about this?",
        "The student asks an honest question that goes beyond the explanation, and presupposes nothing false.",
        "The student claims nothing false. They want to know something that the explanation left open.",
    ),
)
CONTROL_KINDS = frozenset(kind.id for kind in NO_MISCONCEPTION)
TYPE_BY_ID: dict[str, MisconceptionType] = {kind.id: kind for kind in (*MISCONCEPTION_TYPES, *NO_MISCONCEPTION)}


def has_formulas(subject: str) -> bool:
    """Return whether students of the subject meet formulas."""
    return AREA_OF.get(subject) not in WITHOUT_FORMULAS


def label(identifier: str) -> str:
    """Return an id as people read it: `us_history` -> "US history"."""
    words = identifier.replace("_", " ")
    return words.replace("us ", "US ", 1) if words.startswith("us ") else words[:1].upper() + words[1:]
