"""A file of preference pairs, or of prompts with rubrics -> its problems, line by line.

The bytes of a line are checked as strictly as those of a training file.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.errors import counted, is_blank
from lib.validate.check import TrainingFileError
from lib.validate.jsonl import WARNINGS, Flaw, NoObject, form_flaws, json_object, lines_of, quoted
from lib.validate.report import Problem

SHOWN = 20
ROLES = ("system", "user", "assistant")


@dataclass(slots=True)
class FormReport:
    """What was found in a file of pairs or of rubrics."""

    path: str
    form: str
    lines: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        return not self.errors and self.lines > 0

    def __str__(self) -> str:
        state = "valid" if self.valid else "not valid"
        found = f"{self.path}: {state} ({self.form} form), {counted(self.lines, 'line')}, errors: {self.errors:,}"
        return "\n".join([found, *map(str, self.problems)])

    def add(self, line: int, flaw: Flaw) -> None:
        code, message = flaw
        self.counts[code] += 1
        self.errors += code not in WARNINGS
        if len(self.problems) < SHOWN:
            severity = "warning" if code in WARNINGS else "error"
            self.problems.append(Problem(line=line, code=code, severity=severity, message=message))


def validate_form(path: Path, form: str) -> FormReport:
    """Check a file in the form `preferences` (of TRL, OpenAI or KTO) or `rubrics`. Raises TrainingFileError when it can't be read."""
    report, check, seen = FormReport(path.name, form), CHECKS[form], dict[bytes, int]()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(lines_of(file), start=1):
                report.lines = number
                for flaw in _flaws_of_line(line, check=check):
                    report.add(number, flaw)
                before = seen.setdefault(line.strip(), number)
                if before != number:
                    report.add(number, ("duplicate", f"The line repeats line {before}: remove one, or it is learnt twice."))
    except OSError as error:
        raise TrainingFileError(f"{path} can't be read ({error.strerror}): check its name and permissions.") from None
    if not report.lines:
        report.add(0, ("empty_file", "The file is empty: generate examples first."))
    return report


def _flaws_of_line(line: bytes, *, check: Callable[[dict[str, Any]], Iterator[Flaw]]) -> Iterator[Flaw]:
    yield from form_flaws(line)
    try:
        entry = json_object(line)
    except NoObject as problem:
        yield problem.args[0], problem.args[1]
        return
    yield from check(entry)


def preference_flaws(entry: dict[str, Any]) -> Iterator[Flaw]:
    """Yield what is wrong with a pair, whichever of the three forms its keys are of."""
    if "preferred_output" in entry or "input" in entry:
        prompt = entry.get("input", {}).get("messages") if isinstance(entry.get("input"), dict) else None
        sides = {name: entry.get(name) for name in ("preferred_output", "non_preferred_output")}
    elif "completion" in entry or "label" in entry:
        prompt, sides = entry.get("prompt"), {"completion": entry.get("completion")}
        if not isinstance(entry.get("label"), bool):
            yield "wrong_type", f"label is {quoted(entry.get('label'))}: write true or false."
    else:
        prompt, sides = entry.get("prompt"), {name: entry.get(name) for name in ("chosen", "rejected")}
    yield from _turns("prompt", prompt, last="user")
    for name, turns in sides.items():
        yield from _turns(name, turns, last="assistant", only=1)
    if len(sides) == 2 and len({str(turns) for turns in sides.values()}) == 1:
        yield "same_replies", "Both replies are the same, so there is nothing to prefer: remove the line."


def rubric_flaws(entry: dict[str, Any]) -> Iterator[Flaw]:
    """Yield what is wrong with a prompt and its rubrics."""
    yield from _turns("prompt", entry.get("prompt"), last="user")
    rubrics = entry.get("rubrics")
    if not isinstance(rubrics, list) or not rubrics:
        yield "missing_key", "rubrics must be a list with at least one criterion."
        return
    names = [rubric.get("name") for rubric in rubrics if isinstance(rubric, dict)]
    if len(names) < len(rubrics) or len(set(map(str, names))) < len(names):
        yield "wrong_type", "Each rubric must be an object with a name of its own."
    for rubric in (one for one in rubrics if isinstance(one, dict)):
        weight, text = rubric.get("weight"), rubric.get("description")
        if not isinstance(text, str) or is_blank(text):
            yield "missing_key", f"The rubric {quoted(rubric.get('name'))} needs a description."
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight <= 0:
            yield "wrong_weight", f"The rubric {quoted(rubric.get('name'))} has weight {quoted(weight)}: trainers want a number above 0."


def _turns(name: str, turns: Any, *, last: str, only: int = 0) -> Iterator[Flaw]:
    """Yield what is wrong with a list of messages that must end with a turn of the role `last`."""
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        yield "missing_key", f"{name} must be a list of messages, each with role and content."
        return
    for turn in turns:
        if turn.get("role") not in ROLES:
            yield "wrong_roles", f"{name}: the role is {quoted(turn.get('role'))}, and system, user or assistant is wanted."
        if not isinstance(turn.get("content"), str) or is_blank(turn["content"]):
            yield "empty_content", f"{name}: a message has no content."
    if turns[-1].get("role") != last or (only and len(turns) != only):
        yield "wrong_roles", f"{name} must end with the {last}'s turn{', and hold no other' if only else ''}."


CHECKS: dict[str, Callable[[dict[str, Any]], Iterator[Flaw]]] = {"preferences": preference_flaws, "rubrics": rubric_flaws}
