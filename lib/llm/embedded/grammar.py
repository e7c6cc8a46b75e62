"""The JSON schema of an answer -> a grammar that keeps llama.cpp's output valid and short, and the answer cut to its caps."""

import json
import re
from typing import Any

Json = dict[str, Any]

# The longest strings by field, in characters. They decide how many seconds a sample takes.
CAPS = {"topic": 60, "question": 180, "explanation": 320, "misconception": 100, "follow_up": 180, "criteria": 85}
CAPS |= {"response": 600, "reasoning": 55, "evidence": 45}
OTHER_CAP = 200
SLACK = 12  # characters that the grammar allows beyond a cap, because just before a hard end only odd short tokens fit
CHARACTER = r"[^\x00-\x09\x0b-\x1f\x7f]"  # as a pattern it also keeps out the escapes of lone surrogates
MOVED_BOUNDS = re.compile(r"\{((?:\w+: \d+(?:, )?)+)\}$")  # how anthropic.transform_schema writes bounds into a description
CRITERION_ID = re.compile(r'<criterion id="([^"]+)">')
ASSIGNED_WORDS = re.compile(r"^Length: (\d+) to \d+ words", re.MULTILINE)
FEWEST_CHARACTERS_A_WORD = 2.75  # half of the assigned words, at 5.5 characters each
# A small model can't count the criteria that the prompt asks for, so the grammar fixes the severities of the first five.
SMALL_MODEL_SEVERITIES = ["critical", "critical", "critical", "critical", "critical_negative"]


def grammar(schema: Json, user: str, *, factor: int) -> str:
    """Return an llguidance grammar for `schema`, with bounds on every string and array and no free white space.

    The prompt `user` names the criteria to judge and the length of the response. `factor` (1 for small models) multiplies the caps.
    """
    ids, assigned = list(dict.fromkeys(CRITERION_ID.findall(user))), ASSIGNED_WORDS.search(user)
    shortest_response = min(int(int(assigned[1]) * FEWEST_CHARACTERS_A_WORD), CAPS["response"]) if assigned else 1
    fixed = {"rubric_id": ids, "severity": SMALL_MODEL_SEVERITIES if factor == 1 else []}

    def bounded(rules: Json, name: str) -> Json:
        if "$ref" in rules:
            rules = schema["$defs"][rules["$ref"].rpartition("/")[2]]
        moved = MOVED_BOUNDS.search(rules.get("description", ""))
        rules = rules | {key: int(bound) for key, bound in re.findall(r"(\w+): (\d+)", moved[1] if moved else "")}
        if rules.get("type") == "string" and not {"enum", "const"} & rules.keys():
            longest = CAPS.get(name, OTHER_CAP) * factor + SLACK
            shortest = shortest_response if name == "response" else rules.get("minLength", 0)
            return {"type": "string", "pattern": _pattern(shortest, min(longest, rules.get("maxLength", longest)))}
        if rules.get("type") == "array":
            return _array(bounded(rules["items"], name), rules.get("minItems", 0), fixed=fixed)
        if "properties" in rules:
            rules["properties"] = {key: bounded(rule, key) for key, rule in rules["properties"].items()}
        return rules

    return "%llguidance {}\nstart: %json " + json.dumps(bounded(schema, "") | {"x-guidance": {"whitespace_flexible": False}})


def _array(item: Json, fewest: int, *, fixed: dict[str, list[str]]) -> Json:
    """Return an array of as few items as allowed, but room for one. `fixed` holds the values of a field in the first items.

    Of verdicts there is one for each criterion, in the prompt's order.
    """
    fields = item.get("properties", {})
    field = next((field for field in fixed if field in fields), "")
    first = [item | {"properties": fields | {field: {"const": value}}} for value in fixed.get(field, [])]
    if field == "rubric_id" and first:
        fewest = len(first)
    return {"type": "array", "prefixItems": first, "items": item, "minItems": fewest, "maxItems": max(1, fewest)}


def _pattern(shortest: int, longest: int) -> str:
    """Return a string's pattern. A string that must not be empty begins with a visible character, because validators strip blanks."""
    return rf"^[^\x00-\x20\x7f]{CHARACTER}{{{shortest - 1},{longest - 1}}}$" if shortest else f"^{CHARACTER}{{0,{longest}}}$"


def tidy(answer: Any, name: str = "", *, factor: int) -> Any:
    """Return the answer with each long string cut to its cap, after its last whole sentence or else its last whole word."""
    if isinstance(answer, dict):
        return {key: tidy(part, key, factor=factor) for key, part in answer.items()}
    if isinstance(answer, list):
        return [tidy(part, name, factor=factor) for part in answer]
    cap = CAPS.get(name, OTHER_CAP) * factor
    if not isinstance(answer, str) or len(answer) <= cap:
        return answer
    sentence = max(answer.rfind(mark, cap // 2, cap) for mark in (". ", "? ", "! "))
    return answer[: sentence + 1] if sentence > 0 else answer[:cap].rpartition(" ")[0] or answer[:cap]
