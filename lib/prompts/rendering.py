"""The files lib/prompts/*.md and values -> the text a model is sent, with each template's sha256.

Each stage has two templates: `<stage>_system.md`, the same for all samples so that the provider can cache it, and
`<stage>_user.md`. Text from a CSV or a model passes through the `data` filter: it can't close or open one of our tags.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from lib.errors import KitError, plain
from lib.prompts.answers import ScenarioAnswer
from lib.schema import Misstating, Rubric, Sample, SampleMetadata, Seed, Severity, Slot, Spoiling, Subtle
from lib.taxonomy import MISCONCEPTION_TYPES, TYPE_BY_ID, has_formulas, label

TEMPLATES = Path(__file__).parent
# A control has templates of its own for its scenario and its response, and so have subtle and harmless copies.
Template = Literal[
    "scenario", "verify", "misstate", "gold", "judge", "spoil", "repair", "control", "gold_control", "spoil_subtle", "rewrite"
]
# A single criterion is asked for with the judge's templates. A candidate's answer has no template, because the training form is its prompt.
Stage = Literal["scenario", "verify", "misstate", "gold", "judge", "criterion", "spoil", "repair", "answer"]
STAGES: tuple[Template, ...] = get_args(Template)
OUR_TAGS = re.compile(
    r"<(?=[\s\u200b-\u200d\u2060\ufeff/]*(?:seed_\w+|question|explanation|follow_?up|criteri(?:a|on)|earlier_answer|response|misconception|ban|objections?|system|assignment)\b)",
    re.IGNORECASE,
)

SHOWN_OF_SEED: dict[Severity, int] = {"critical": 3, "not_critical": 1, "critical_negative": 1}  # how many of a seed's criteria are shown
LONGER = 4 / 3  # of a copy that is to be longer, in words
LONGEST_CELL = 5_000  # characters: a list of subjects of the user's own may be long
# What begins or ends something in Markdown or HTML, wherever it stands; at the beginning of a line, what makes a heading, a list or a rule;
# and what makes a link of a bare address. An underscore between letters or digits is text.
MARKDOWN = re.compile(r"[\\`*\[\]~$|<>&@]|(?<![^\W_])_|_(?![^\W_])|^[#+=-]|^\d{1,9}[.)](?=\s|$)|:(?=//)|(?<=www)\.", re.IGNORECASE)


class PromptError(KitError):
    """A template was edited into something that can't be rendered."""


class Prompt(NamedTuple):
    system: str
    user: str


def scenario_prompt(slot: Slot, seed: Seed) -> Prompt:
    kind, subject = TYPE_BY_ID[slot.misconception_type], label(slot.subject)
    name: Template = "control" if slot.is_control else "scenario"
    shown = [rubric for severity, count in SHOWN_OF_SEED.items() for rubric in _of_severity(seed, severity)[:count]]
    return _prompt(name, slot=slot, seed=seed, seed_criteria=shown, kind=kind, subject=subject, has_formulas=has_formulas(slot.subject))


def _of_severity(seed: Seed, severity: Severity) -> list[Rubric]:
    return [rubric for rubric in seed.rubrics if rubric.attributes.severity == severity]


def verify_prompt(slot: Slot, scenario: ScenarioAnswer, *, rubrics: Sequence[Rubric]) -> Prompt:
    """Ask whether the scenario is right. The kind that was assigned is not shown, nor are severities."""
    return _prompt("verify", slot=slot, scenario=scenario, rubrics=rubrics, subject=label(slot.subject))


def misstate_prompt(scenario: ScenarioAnswer, misstating: Misstating) -> Prompt:
    """Ask for a copy of the explanation with an error of this kind."""
    return _prompt("misstate", question=scenario.question, explanation=scenario.explanation, misstating=misstating)


def gold_prompt(slot: Slot | SampleMetadata, scenario: ScenarioAnswer | SampleMetadata, *, rubrics: Sequence[Rubric] = ()) -> Prompt:
    """`rubrics` stays empty unless `show_rubrics_to_tutor` is to measure what seeing them does."""
    return _prompt(gold_template(slot), slot=slot, scenario=scenario, rubrics=rubrics, subject=label(slot.subject))


def gold_template(slot: Slot | SampleMetadata) -> Template:
    """Return the template of the tutor's response, which for a control is one of its own."""
    return "gold_control" if slot.is_control else "gold"


def again_prompt(prompt: Prompt, *, answer: str, objection: str) -> Prompt:
    """Return the same question once more, with the answer that could not be used and what was wrong with it."""
    return Prompt(prompt.system, render("again_user.md", {"user": prompt.user, "answer": answer, "objection": objection}))


def judge_prompt(*, question: str, explanation: str, follow_up: str, rubrics: Sequence[Rubric], response: str) -> Prompt:
    """`rubrics` in the order they are to be shown; severity and weight are not."""
    return _prompt("judge", question=question, explanation=explanation, follow_up=follow_up, rubrics=rubrics, response=response)


def spoil_prompt(sample: Sample, spoiling: Spoiling, *, criterion: str = "", other_kind: str = "") -> Prompt:
    """Ask for a copy of the response with this fault. `criterion` is what it must not meet, `other_kind` what another student does."""
    about = sample.metadata
    exchange = {"question": about.question, "explanation": about.explanation, "follow_up": about.follow_up}
    values = exchange | {"misconception": about.misconception, "response": sample.response, "spoiling": spoiling}
    if spoiling in get_args(Subtle):
        return _prompt("spoil_subtle", **values, criterion=criterion, other_kind=other_kind)
    return _prompt("spoil", **values, ban=criterion)


def rewrite_prompt(sample: Sample, spoiling: Spoiling) -> Prompt:
    """Ask for a copy of the response that says the same in another form."""
    words = round((LONGER if spoiling == "longer" else 1) * len(sample.response.split()))
    return _prompt("rewrite", follow_up=sample.metadata.follow_up, response=sample.response, spoiling=spoiling, words=words)


def repair_prompt(sample: Sample, objections: Sequence[str]) -> Prompt:
    """`objections`: what the judge said of the criteria that failed, not their texts."""
    about = sample.metadata
    exchange = {"question": about.question, "explanation": about.explanation, "follow_up": about.follow_up}
    return _prompt("repair", **exchange, response=sample.response, objections=objections, style=about.style, subject=label(about.subject))


def template_sha256(stage: Template) -> str:
    """Return the digest of the stage's two templates: changes when a researcher edits either."""
    parts = [(TEMPLATES / f"{stage}_{role}.md").read_bytes() for role in ("system", "user")]
    return hashlib.sha256(b"\x00".join(parts)).hexdigest()


def template_text(stage: Template) -> str:
    return "".join((TEMPLATES / f"{stage}_{role}.md").read_text(encoding="utf-8") for role in ("system", "user"))


def data(text: str) -> str:
    """Return `text` with a leading `<` of anything that looks like one of our tags replaced by a look-alike."""
    str(text)  # raises for an undefined name
    return OUR_TAGS.sub("‹", text)


def cell(text: object) -> str:
    """Return foreign text as one line of Markdown that shows it and nothing else: no link, image, HTML, formula, heading, new cell."""
    return MARKDOWN.sub(lambda found: _harmless(found[0]), plain(text, longest=LONGEST_CELL))


def _harmless(mark: str) -> str:
    if len(mark) > 1:  # the number of a list
        return f"{mark[:-1]}{_harmless(mark[-1])}"
    if mark in "$\\":  # JupyterLab typesets formulas after entities are read, but not across an element's end
        return f"<span>{mark if mark == '$' else '&#92;'}</span>"
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(mark, f"&#{ord(mark)};")


def yaml_text(text: object) -> str:
    """Return foreign text as a quoted string for a YAML header, on one line."""
    return json.dumps(plain(text, longest=LONGEST_CELL), ensure_ascii=False)


def _prompt(stage: Template, **values: object) -> Prompt:
    system = render(f"{stage}_system.md", {})
    return Prompt(system, render(f"{stage}_user.md", values))


def render(name: str, values: Mapping[str, object], *, folder: Path | None = None) -> str:
    """Return the template `name` of `folder` (the prompts' own unless given) with these values. Raises PromptError naming file and line."""
    try:
        return _environment(folder or TEMPLATES).get_template(name).render(**values).strip()
    except (TemplateError, TypeError, ValueError) as error:  # a template can go wrong in as many ways as code can
        line = getattr(error, "lineno", None)
        where = f"lib/{(folder or TEMPLATES).name}/{name}{f', line {line}' if line else ''}"
        raise PromptError(f"{where}: {error}. Mend the template (UTF-8, jinja2), or restore it with git.") from None


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.globals["kinds"] = MISCONCEPTION_TYPES
    environment.filters |= {"data": data, "cell": cell, "yaml_text": yaml_text, "label": label}
    return environment
