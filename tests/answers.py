"""A body of /v1/messages goes in; the text of its answer comes out, the same one every time, and its usage.

The answer fits the request's JSON schema. Bounds that `anthropic.transform_schema` moved into descriptions, such as
"{maxLength: 60, minLength: 3}", are honoured, or all broken with `break_bounds`. Not honoured: pattern, format,
multipleOf. The prose is English-looking nonsense; verdicts quote the response they judge. A scenario keeps the kit's rules, and its
verifier finds nothing wrong but what was made wrong on purpose.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from lib.taxonomy import TYPE_BY_ID

NOUNS = """
slope factor vowel ratio axis orbit ledger margin verb cell proton tariff clause theorem sample variable enzyme
current treaty metaphor vector loop gene price harvest angle constant stanza gradient budget fraction circuit
premise membrane quotient empire rhythm residue interval catalyst pointer sentence demand voltage parable matrix
nucleus deficit sonnet limit glacier array reagent syllable integral pulley colony denominator wave pronoun
""".split()
VERBS = """
compares balances hides mirrors shifts follows limits cancels explains predicts resembles carries splits bends
reaches absorbs replaces measures divides anchors repeats crosses supports narrows delays reveals joins outweighs
describes doubles traps releases
""".split()
ADJECTIVES = """
steep hidden careful missing second narrow familiar opposite heavy linear early common silent total uneven former
rapid distant simple broken bright negative formal local warm curious stable partial vivid rare ordinary mutual
prior slender open absent modest dense
""".split()
LINKS = "because whenever although while until so since unless before whereas after once".split()
OPENERS = (
    "First,|Notice how|Suppose|Here|Now|On paper,|Picture how|Usually|To begin,|By contrast,|Try this:|Next,|"
    "Meanwhile,|Look again:|Then,|Often,|Check whether|For instance,|Remember that|Rather,"
).split("|")
QUESTIONS = ("Which", "How far do you think the", "In your own words, which", "Can you say when the", "What if the")

SPREAD = 600  # characters or units between the shortest and the longest answer when the schema states no narrower bound
BOUND = re.compile(r"\b((?:min|max)(?:Length|Items|imum)|exclusive(?:Min|Max)imum): (-?\d+(?:\.\d+)?)")
CRITERION = re.compile(r"<criterion\b[^>]*?\bid=[\"']([^\"']+)[\"']")
ASSIGNED_WORDS = re.compile(r"^Length: (\d+) to (\d+) words", re.MULTILINE)
CHARACTERS_A_WORD = 6  # the blank after it included
ASSIGNED_FOLLOW_UP = re.compile(r"^Length of the follow-up: (\d+) to (\d+) words", re.MULTILINE)
ASSIGNED_KIND = re.compile(r"^(?:Kind of misconception|What the student does): (.*)$", re.MULTILINE)
NO_QUESTION = "The follow-up holds no question mark"
SEVERITIES = ("critical", "critical", "critical", "critical", "critical_negative", "not_critical")
MISTAKEN = "Mistakenly,"  # begins an explanation that was made wrong on purpose
KIND_MARK = re.compile(r"\[(\w+)\]")  # in a follow-up: the kind that the stand-in's verifier recognises
FOLLOW_UP = re.compile(r"<follow_up>(.*?)</follow_up>", re.DOTALL)
FORM = "# The form"  # heads the task of a copy that says the same
RESPONSE = re.compile(r"<response\b[^>]*>(.*?)</response>", re.DOTALL)


def digest(*parts: object) -> str:
    """Return the sha256 of the parts, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def draw(*parts: object) -> float:
    """Return a number in (0, 1) that depends on the parts alone."""
    return (int(digest(*parts)[:12], 16) + 0.5) / 16**12


@dataclass(frozen=True, slots=True)
class Request:
    """A valid body of /v1/messages; what the hooks `answer` and `fault_for` are given."""

    body: dict
    body_hash: str

    @property
    def schema(self) -> dict | None:
        return ((self.body.get("output_config") or {}).get("format") or {}).get("schema")

    @property
    def blocks(self) -> list[dict]:
        """The text blocks of the system prompt, then of all turns: the order in which prefixes are cached."""
        contents = [self.body.get("system") or "", *(turn["content"] for turn in self.body["messages"])]
        return [block for content in contents for block in as_blocks(content)]

    @property
    def user_texts(self) -> list[str]:
        turns = (turn["content"] for turn in self.body["messages"] if turn["role"] == "user")
        return ["\n".join(block.get("text", "") for block in as_blocks(content)) for content in turns]


def as_blocks(content: str | list[dict]) -> list[dict]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


def sentence(random: Random) -> str:
    """Return one sentence of 30 to 120 characters, one in eight a question."""

    def pick(words: Sequence[str]) -> str:
        return words[int(random.random() * len(words))]  # a third of the cost of random.choice

    told = f"{pick(NOUNS)} {pick(VERBS)} the {pick(ADJECTIVES)} {pick(NOUNS)}"
    if random.random() < 0.125:
        return f"{pick(QUESTIONS)} {told}?"
    opened = f"{pick(OPENERS)} {pick(ADJECTIVES)} {told}"  # without an article, or many would open with the same three words
    if random.random() < 0.4:
        return opened + "."
    return f"{opened} {pick(LINKS)} a {pick(ADJECTIVES)} {pick(NOUNS)} {pick(VERBS)} it."


def prose(random: Random, *, shortest: int, longest: int) -> str:
    """Return sentences of `shortest` to `longest` characters together, ASCII, the last one cut where it must be."""
    target, text = random.randint(shortest, longest), sentence(random)
    while len(text) < target:
        text += " " + sentence(random)
    if len(text) <= longest:
        return text
    at_a_word = text[:longest].rsplit(" ", 1)[0].rstrip(" ,:?.") + "."
    return at_a_word if max(shortest, 2) <= len(at_a_word) <= longest else text[:longest].replace(" ", "-")


@lru_cache(maxsize=4096)
def stated_bounds(description: str) -> dict[str, float]:
    """Return the bounds in the braces that end a description, as `transform_schema` writes them."""
    braces = description.rpartition("\n\n{")[2] if not description.startswith("{") else description
    return {name: float(value) for name, value in BOUND.findall(braces)} if description.endswith("}") else {}


def quote(response: str, *, random: Random, longest: int) -> str:
    """Return 8 to 15 consecutive words of the response, verbatim, fewer where `longest` characters do not hold them."""
    words = [(word.start(), word.end()) for word in re.finditer(r"\S+", response)]
    if not words:
        return ""
    count = min(random.randint(8, 15), len(words))
    first = random.randint(0, len(words) - count)
    start, ends = words[first][0], [end for _, end in words[first : first + count]]
    return response[start : max((end for end in ends if end - start <= longest), default=start)]


@dataclass(slots=True, kw_only=True)
class Walker:
    """Walks one request's schema; `value(schema)` is the answer."""

    random: Random
    definitions: dict
    user_texts: list[str]
    p_true: float
    break_bounds: bool = False

    def value(self, schema: dict) -> object:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if "anyOf" in schema:
            return self.value(self.random.choice(schema["anyOf"]))
        return getattr(self, "_" + schema["type"])(schema)

    def _resolved(self, schema: dict) -> dict:
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].rsplit("/", 1)[-1]]
        return schema

    def _object(self, schema: dict) -> dict:
        special = {"verdicts": self._verdicts, "response": self._response}
        answer = {name: special.get(name, self.value)(part) for name, part in schema.get("properties", {}).items()}
        if self.break_bounds:
            return answer
        if {"follow_up", "rubrics"} <= answer.keys():
            return answer | self._scenario(answer)
        if "own_answer" in answer:
            return answer | self._verification(answer)
        if "verdicts" in answer and "quality_score" in answer:
            weaknesses = [name for name in answer["weaknesses"] if name != "factual_error"]
            return answer | {"weaknesses": weaknesses, "quality_score": max(3, answer["quality_score"])}
        if answer.keys() == {"response"} and FORM in self.user_texts[-1]:
            return {"response": self._rewritten(RESPONSE.findall(self.user_texts[-1])[-1])}
        if {"fault", "explanation"} <= answer.keys():
            return answer | {"explanation": f"{MISTAKEN} {answer['explanation']}"}
        return answer

    def _scenario(self, answer: dict) -> dict:
        """Return the parts of a scenario as its assignment wants them."""
        user = self.user_texts[-1]
        found = ASSIGNED_FOLLOW_UP.search(user)
        low, high = (int(found[1]), int(found[2])) if found else (40, 60)
        rubrics = [rubric | {"severity": severity} for rubric, severity in zip(answer["rubrics"], SEVERITIES, strict=False)]
        for rubric in rubrics:
            start = "The response must not " if rubric["severity"] == "critical_negative" else "The response must "
            rubric["criteria"] = start + rubric["criteria"]
        told = self._words(low, high).replace("?", ".").rstrip(".").split()
        told[len(told) // 2] += f" [{self._kind(user)}]"  # neither where follow-ups open nor where they close
        mark = "." if NO_QUESTION in user else "?"
        return {"explanation": self._words(100, 200), "follow_up": f"{' '.join(told)}{mark}", "rubrics": rubrics}

    def _words(self, low: int, high: int) -> str:
        """Return between `low` and `high` words of prose."""
        text = prose(self.random, shortest=12 * high, longest=12 * high + 100)
        return " ".join(text.split()[: (low + high) // 2]).rstrip(" ,:?.") + "."

    def _rewritten(self, response: str) -> str:
        """Return the words in another order, and a third more of them where the copy is to be longer."""
        words = response.split()
        self.random.shuffle(words)
        extra = [word for word in words if word.isalpha()][: len(words) // 3] if "a third longer" in self.user_texts[-1] else []
        return " ".join(words + extra)

    def _kind(self, user: str) -> str:
        """Return the id of the kind that the assignment describes."""
        assigned = ASSIGNED_KIND.search(user)
        return next((kind.id for kind in TYPE_BY_ID.values() if assigned and kind.description in assigned[1]), "unknown")

    def _verification(self, answer: dict) -> dict:
        """Return a verification that finds nothing wrong but an explanation that is mistaken on purpose."""
        user = self.user_texts[-1]
        follow_up, is_right = (FOLLOW_UP.findall(user) or [""])[-1], MISTAKEN not in user
        kind = (KIND_MARK.findall(follow_up) or ["unknown"])[-1]
        control = kind in ("student_is_right", "open_question")
        criterion = {"problem": "", "fair": True, "single": True, "decidable": True}
        return {
            "equations": [{"expression": "6*7", "claimed": "42", "tolerance": 0.0}],
            "explanation_problem": "" if is_right else "its first claim is false",
            "explanation_agrees": is_right,
            "explanation_right": is_right,
            "belief": "" if control else answer["belief"],
            "beliefs": "none" if control else "one",
            "kind": "no_misconception" if control or kind == "unknown" else kind,
            "criteria": [{"rubric_id": name} | criterion for name in dict.fromkeys(CRITERION.findall(user))],
        }

    def _array(self, schema: dict) -> list:
        low, high = self._range(schema, unit="Items", default=(schema.get("minItems", 0), 4))
        count, part = self.random.randint(int(low), int(high)), self._resolved(schema.get("items", {"const": 1}))
        if "enum" in part and not self.break_bounds:  # a closed list: nobody names the same strength twice
            return self.random.sample(part["enum"], min(count, len(part["enum"])))
        return [self.value(part) for _ in range(count)]

    def _string(self, schema: dict) -> str:
        low, high = self._range(schema, unit="Length", default=(40, SPREAD))
        return prose(self.random, shortest=max(0, int(low)), longest=max(0, int(high)))

    def _integer(self, schema: dict) -> int:
        low, high = self._range(schema, unit="imum", default=(0, 100))
        return self.random.randint(int(low), int(high))

    def _number(self, schema: dict) -> float:
        low, high = self._range(schema, unit="imum", default=(0, 1), step=0)
        return round(low + (high - low) * self.random.uniform(0.01, 0.99), 6)

    def _boolean(self, schema: dict) -> bool:
        return self.random.random() < self.p_true

    def _null(self, schema: dict) -> None:
        return None

    def _range(self, schema: dict, *, unit: str, default: tuple[float, float], step: int = 1) -> tuple[float, float]:
        """Return (low, high), within the stated bounds or, with `break_bounds`, just outside of them."""
        bounds = stated_bounds(schema.get("description", ""))
        low, high = bounds.get("min" + unit), bounds.get("max" + unit)
        if unit == "imum":
            low = bounds["exclusiveMinimum"] + step if "exclusiveMinimum" in bounds else low
            high = bounds["exclusiveMaximum"] - step if "exclusiveMaximum" in bounds else high
        if self.break_bounds and high is not None:
            return high + 1, high + 2
        if self.break_bounds and low is not None:
            return low - 1, low - 1
        if low is None:
            low = default[0] if high is None else min(default[0], high)
        return low, min(high, low + SPREAD) if high is not None else max(default[1], low + default[1] // 2)

    def _is_verdicts(self, schema: dict) -> bool:
        item = self._resolved(self._resolved(schema).get("items", {}))
        return {"rubric_id", "evidence", "met"} <= item.get("properties", {}).keys()

    def _response(self, schema: dict) -> object:
        """Return as many words as the last user turn assigns, where it does."""
        assigned = ASSIGNED_WORDS.search(self.user_texts[-1])
        if not assigned or self.break_bounds:
            return self.value(schema)
        words = self.random.randint(int(assigned[1]), int(assigned[2]))
        return prose(self.random, shortest=words * CHARACTERS_A_WORD, longest=words * CHARACTERS_A_WORD + 100)

    def _verdicts(self, schema: dict) -> object:
        """Return one verdict for each criterion in the last user turn that has any; one short with `break_bounds`."""
        if not self._is_verdicts(schema):
            return self.value(schema)
        text = next((text for text in reversed(self.user_texts) if CRITERION.search(text)), "")
        response, part = (RESPONSE.findall(text) or [""])[-1], self._resolved(self._resolved(schema)["items"])
        longest = int(stated_bounds(part["properties"]["evidence"].get("description", "")).get("maxLength", 10_000))
        verdicts = []
        for rubric_id in dict.fromkeys(CRITERION.findall(text)):
            verdict = self.value(part) | {"rubric_id": rubric_id}
            evidence = quote(response, random=self.random, longest=longest) if verdict["met"] else ""
            verdicts.append(verdict | {"evidence": evidence})
        return verdicts[:-1] if self.break_bounds else verdicts


def answer_text(request: Request, *, p_true: float, break_bounds: bool = False) -> str:
    """Return JSON that fits the request's schema, or prose when it has none; booleans are true with `p_true`."""
    schema, body = request.schema, request.body
    random = Random(digest(body["model"], body.get("system"), body["messages"], schema))
    if schema is None:
        return prose(random, shortest=200, longest=1200)
    about = {"definitions": schema.get("$defs", {}), "user_texts": request.user_texts}
    return json.dumps(Walker(random=random, p_true=p_true, break_bounds=break_bounds, **about).value(schema))


def cached_prefix(request: Request, *, minimum: int) -> tuple[str, str, int]:
    """Return (cache key, ttl, tokens) of the text up to the last `cache_control`; empty below the minimum."""
    blocks = request.blocks
    marked = [n for n, block in enumerate(blocks) if block.get("cache_control")]
    text = "".join(block.get("text", "") for block in blocks[: marked[-1] + 1]) if marked else ""
    if not marked or len(text) < minimum:
        return "", "", 0
    ttl = blocks[marked[-1]]["cache_control"].get("ttl", "5m")
    return digest(request.body["model"], request.schema, text), ttl, len(text) // 4


def usage_of(request: Request, *, prefix: tuple[str, str, int], is_hit: bool, thought: str, text: str) -> dict:
    """Return the usage block; a token is four characters, and cached input is counted apart from the rest."""
    _, ttl, prefix_tokens = prefix
    written = 0 if is_hit else prefix_tokens
    all_input = sum(len(block.get("text", "")) for block in request.blocks) // 4
    return {
        "input_tokens": max(1, all_input - prefix_tokens),
        "output_tokens": max(1, (len(text) + len(thought)) // 4),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": prefix_tokens if is_hit else 0,
        "cache_creation": {f"ephemeral_{name}_input_tokens": written * (ttl == name) for name in ("5m", "1h")},
        "output_tokens_details": {"thinking_tokens": len(thought) // 4},
        "service_tier": "standard",
    }
