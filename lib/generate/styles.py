"""kind, level and student of a slot -> how the gold response opens and closes, and how long it is.

Moves are dealt, so that responses vary. A move that suits only some kinds of misconception is dealt only to those. The length follows
from what is to be said and to whom.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lib.generate.dealing import dealt
from lib.schema import Student, Style
from lib.taxonomy import CONTROL_KINDS

ANY: tuple[str, ...] = ()
OWN_CASE = ("misapplying_formula", "counterexample_contradiction", "overgeneralization", "incorrect_assumption")
Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Move:
    """A way to open or to close a response."""

    text: str  # as the tutor is told
    kinds: tuple[str, ...] = ANY  # the kinds of misconception that it suits; empty: all eight
    check: Check | None = None  # whether a first (or last) sentence makes the move, where a program can tell


def _asks(sentence: str) -> bool:
    return "?" in sentence


def _asks_nothing(sentence: str) -> bool:
    return "?" not in sentence


def _quotes(sentence: str) -> bool:
    return any(mark in sentence for mark in "\"“”‘'’")


def _is_short(sentence: str) -> bool:
    return len(sentence.split()) <= 15


OPENINGS = (
    Move("go straight to the one word, sign, number or step of the student's that fails"),
    Move("begin with a small concrete case that shows the trouble"),
    Move("begin by saying in one plain sentence what the student seems to believe"),
    Move("begin with what the student has right, and go on to the case, or the word, from which it fails"),
    Move("begin with a short question that the student can answer in their head, then use the answer", check=_asks),
    Move("begin with the correct statement, then set the student's version beside it"),
    Move("begin with an everyday comparison, then carry it over to the question"),
    Move("begin with what would follow if the student were right, and check it"),
    Move("begin with a few of the student's own words, in quotation marks", check=_quotes),
    Move("begin with the definition or the condition that decides the matter"),
    Move("begin with the sentence of the explanation that misled the student, and read it with them"),
    Move("begin with two cases that differ only in what decides"),
    Move("answer what the student asks, or doubts, in a first sentence of at most 15 words", check=_is_short),
    Move("begin by going through the student's steps in one sentence, up to the one that fails"),
    Move("begin where the student and the explanation still agree, and go on to where they part"),
    Move("begin with an extreme case, such as zero, one, everybody or nobody"),
    Move("begin with the situation as a picture in words"),
    Move("begin with the fact, or the measurement, on which everything depends here"),
    Move("begin with the thing that was swapped, added or left out, and say what it is", (*OWN_CASE, "confusing_similar_terms")),
    Move("begin with what goes wrong when the step is left out", ("why_is_step_necessary",)),
    Move("take the student's case as given and read it again, line by line", ("counterexample_contradiction",)),
    Move("begin with what each of the two says that the other does not", ("how_concepts_relate", "confusing_similar_terms")),
    Move("begin with the result, and ask what it counts or measures", ("procedural_vs_conceptual",)),
)
CLOSINGS = (
    Move("end with one short question whose answer shows whether the confusion is gone", check=_asks),
    Move("end with the distinction in one sentence", check=_asks_nothing),
    Move("end with a small task of the same kind for the student, without its answer"),
    Move("end with what in such a problem should make one look twice", check=_asks_nothing),
    Move("end with what would have to be different for the student to be right", check=_asks_nothing),
    Move("stop one step short of the end, and hand that step to the student"),
    Move("stop as soon as the point is made, without a summary and without a question", check=_asks_nothing),
    Move("end with one sentence on the question that the student first asked", check=_asks_nothing),
    Move("end with a second case, in one line, in which the same thing happens", check=_asks_nothing),
    Move("end by changing one number or fact of the question, and ask what changes", check=_asks),
    Move("end by asking for one step in the student's own words"),
    Move("end with a way to check such an answer", check=_asks_nothing),
    Move("end with one true sentence that the student can put in place of theirs", check=_asks_nothing),
    Move("end with the student's own case put right, and stop there", OWN_CASE, check=_asks_nothing),
    Move("end with a case in which the student's rule does hold", ("overgeneralization", "misapplying_formula"), check=_asks_nothing),
    Move("end with what the step would have caught here", ("why_is_step_necessary",), check=_asks_nothing),
    Move("end with a sentence that uses both words rightly", ("confusing_similar_terms", "how_concepts_relate"), check=_asks_nothing),
    Move("end with what the result may be quoted for, and what not", ("procedural_vs_conceptual",), check=_asks_nothing),
)
CONTROL_OPENINGS = (
    Move("answer in the first sentence, without praise"),
    Move("begin with the reason why it is so"),
    Move("begin with the student's case, one step further"),
    Move("begin with the condition on which the student's point depends"),
    Move("begin with what decides such a question"),
)
CONTROL_CLOSINGS = (
    Move("stop when the answer is complete", check=_asks_nothing),
    Move("end with the next question that follows from this one", check=_asks),
    Move("end with a limit or condition that is worth knowing", check=_asks_nothing),
    Move("end with a small task that goes one step further"),
    Move("end with the answer in one sentence", check=_asks_nothing),
)
WORDS_BY_LEVEL = {"middle_school": (60, 110), "high_school": (80, 140), "undergraduate": (110, 190), "graduate": (130, 220)}
WORDS = (90, 170)  # of a level that is not in the table
MORE_TO_SHOW = ("misapplying_formula", "counterexample_contradiction", "procedural_vs_conceptual")  # a case has to be worked through
MORE_WORDS = 20
TERSE = 32  # a student who writes no more words than that gets a shorter response
SHORTER = 0.85


def style(kind: str, level: str, *, student: Student, number: int, random_seed: int) -> Style:
    """Return the style of the slot that is the `number`-th of its kind."""
    openings, closings = (CONTROL_OPENINGS, CONTROL_CLOSINGS) if kind in CONTROL_KINDS else (_for(kind, OPENINGS), _for(kind, CLOSINGS))
    return Style(
        opening=dealt(openings, f"opening/{kind}", number=number, random_seed=random_seed).text,
        words=_words(kind, level, student=student),
        closing=dealt(closings, f"closing/{kind}", number=number, random_seed=random_seed).text,
    )


def _for(kind: str, moves: tuple[Move, ...]) -> tuple[Move, ...]:
    return tuple(move for move in moves if not move.kinds or kind in move.kinds)


def _words(kind: str, level: str, *, student: Student) -> tuple[int, int]:
    low, high = WORDS_BY_LEVEL.get(level, WORDS)
    more = MORE_WORDS if kind in MORE_TO_SHOW else 0
    share = SHORTER if student.words[1] <= TERSE else 1.0
    return round((low + more) * share), round((high + more) * share)


CHECK_OF: dict[str, Check] = {
    move.text: move.check for moves in (OPENINGS, CLOSINGS, CONTROL_OPENINGS, CONTROL_CLOSINGS) for move in moves if move.check
}
