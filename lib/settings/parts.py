"""The parts of a run that settings decide, and how a setting says which part is its own."""

from typing import Any, Literal

from pydantic import Field

# place: where files are. input: the files that are read. plan: which slots there are. writing and judging: what is sent to which model.
# endpoint: who answers, and how long. engine: speed and money. filtering: what is kept. publishing: what is drawn from what was kept.
# once: what is done, or allowed, this one time. A notebook takes all other parts but place from the run that it opens.
Part = Literal["place", "input", "plan", "writing", "endpoint", "engine", "judging", "filtering", "publishing", "once"]


def setting(part: Part, default: Any, *, means: str, **bounds: Any) -> Any:
    """Return the field of a setting that decides `part`. What it `means` is shown to people."""
    return Field(default, description=means, json_schema_extra={"part": part}, **bounds)


def part_of(field: Any) -> str:
    """Return the part of a run that a field of Settings decides."""
    return str(field.json_schema_extra["part"])
