"""An equation that a model took from an explanation -> whether it holds, by calculating it.

The expression is evaluated by `simpleeval`, with arithmetic, a few functions and units (`pint`). There are no variables, attributes or
strings in it, and no code of a model is ever run. What can't be evaluated counts as not computed, never as wrong.
"""

import ast
import math
import operator
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

from lib.prompts.answers import EquationAnswer

Found = Literal["holds", "wrong", "not computed"]
LONGEST_EXPRESSION = 300  # characters
LARGEST_INTEGER = 10**300  # of a result that is kept exact; larger ones overflow as floats do
LARGEST_FACTORIAL = 170  # beyond it, its float overflows
MOST_TOLERANCE = 0.1  # relative, whatever the verifier allows
ROUNDING = 1e-9  # relative; absolute where zero is claimed
SPELLINGS = str.maketrans({"^": "**", "·": "*", "×": "*", "−": "-"})
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:,\d{3})*(?:\.\d+)?$)")  # in a whole text that is one number, as "3,000"
# One number, perhaps with a power of ten, and perhaps with units behind it.
NUMBER = re.compile(
    r"[+-]?\d*(?:\.(\d+))?(?:e([+-]?\d+))?(?:\*\(?10\*\*\(?([+-]?\d+)\)?\)?)?(?:[*/]\(*[a-z_]+(?:\*\*\(?-?\d+\)?)?\)*)*",
    re.IGNORECASE,
)
REFUSED = re.compile(r"[;#\n]|%\s*(?:[-+)]|$)")  # more than one expression, a comment, a percent sign that is no remainder
DOUBT = 0.05  # relative; where it is unknown how a claimed value was rounded, less than that says nothing


def check(equation: EquationAnswer) -> Found:
    """Return whether the expression gives what is claimed, to within the tolerance (at most 10 %) and half of the last digit claimed."""
    try:
        return _found(equation)
    except Exception:  # noqa: BLE001  # a foreign expression can fail in any way, and then nothing is known
        return "not computed"


def _found(equation: EquationAnswer) -> Found:
    value, claimed, half = _value(equation.expression), _value(equation.claimed), _half_of_last_digit(equation.claimed)
    if type(value) is type(claimed) is int and not half and not equation.tolerance > 0:
        return "holds" if value == claimed else "wrong"
    number, wanted = _comparable(value, claimed)
    if not (math.isfinite(number) and math.isfinite(wanted)):
        return "not computed"
    tolerance = min(equation.tolerance, MOST_TOLERANCE) if equation.tolerance > 0 else 0.0  # it may be negative, or no number
    allowed = max(tolerance * abs(wanted), half or 0.0) * (1 + ROUNDING) + ROUNDING * (abs(wanted) or 1)
    if abs(number - wanted) <= allowed:
        return "holds"
    return "not computed" if half is None and abs(number - wanted) <= DOUBT * abs(wanted) else "wrong"


def _value(expression: str) -> Any:
    """Return a number or a quantity. Raises any exception for what is no expression of the kind that is allowed."""
    if len(expression) > LONGEST_EXPRESSION or REFUSED.search(expression):
        raise ValueError("one short expression only")
    return _evaluator().eval(THOUSANDS.sub("", expression.translate(SPELLINGS)))


@cache
def _evaluator() -> Any:
    from simpleeval import SimpleEval

    evaluator = SimpleEval(operators=OPERATORS, functions=FUNCTIONS, names=_named)
    allowed = (ast.Expr, ast.Constant, ast.UnaryOp, ast.BinOp, ast.Call, ast.Name)
    evaluator.nodes = {node: method for node, method in evaluator.nodes.items() if node in allowed} | {ast.Constant: _number}
    return evaluator


def _number(node: ast.Constant) -> int | float:
    if type(node.value) not in (int, float):
        raise ValueError("numbers only")
    return node.value  # type: ignore[return-value]  # checked in the line above


def _named(node: ast.Name) -> Any:
    """Return a constant, or a unit by its name or symbol."""
    return CONSTANTS[node.id] if node.id in CONSTANTS else _units().Unit(node.id) * 1.0


@cache
def _units() -> Any:
    from pint import UnitRegistry

    return UnitRegistry(cache_folder=None)


def _comparable(value: Any, claimed: Any) -> tuple[float, float]:
    """Return both as numbers in the claimed value's unit. Raises an exception where they have different dimensions."""
    if hasattr(value, "to") or hasattr(claimed, "to"):
        units = claimed.units if hasattr(claimed, "to") else _units().dimensionless
        quantity = value if hasattr(value, "to") else value * _units().dimensionless
        return float(quantity.to(units).magnitude), float(claimed.magnitude if hasattr(claimed, "to") else claimed)
    return float(value), float(claimed)


def _half_of_last_digit(claimed: str) -> float | None:
    """Return half a unit of the last decimal that is written. It is 0 for a whole number, and None for what is more than one number."""
    found = NUMBER.fullmatch(THOUSANDS.sub("", claimed.translate(SPELLINGS)).replace(" ", ""))
    if not found:
        return None
    decimals, *powers = found.groups()
    if not (decimals or any(powers)):
        return 0.0
    return float(0.5 * 10.0 ** (sum(int(power or 0) for power in powers) - len(decimals or "")))


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and (exponent < 0 or abs(base).bit_length() * exponent > 1_000):
        return float(base) ** exponent
    return base**exponent


def _bounded(a: Any, b: Any) -> Any:
    product = a * b
    return float(product) if isinstance(product, int) and abs(product) > LARGEST_INTEGER else product


def _of_number(function: Callable[[float], float]) -> Callable[[Any], float]:
    """Return the function for a quantity without dimension, an angle among them."""
    return lambda x: function(float(x.to("").magnitude if hasattr(x, "to") else x))


def _counted(function: Callable[..., int]) -> Callable[..., Any]:
    """Return a function of whole numbers for small ones only, because its result must fit into memory."""

    def bounded(*numbers: Any) -> int:
        whole = [int(number) for number in numbers]
        if any(number != given for number, given in zip(whole, numbers, strict=True)) or max(map(abs, whole)) > 10**12:
            raise ValueError("whole numbers only")
        if function is not math.gcd and function is not math.lcm and max(whole) > LARGEST_FACTORIAL:
            raise ValueError("too large")
        return function(*whole)

    return bounded


CONSTANTS = {"pi": math.pi, "e": math.e}
OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: _bounded, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.Pow: _power, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
FUNCTIONS = {
    "sqrt": lambda x: x**0.5, "cbrt": lambda x: x ** (1 / 3), "abs": abs, "min": min, "max": max,
    **{name: _of_number(getattr(math, name)) for name in "exp log10 log2 sin cos tan asin acos atan floor ceil".split()},
    "ln": _of_number(math.log),  # and no `log`, which stands for either logarithm
    **{name: _counted(getattr(math, name)) for name in "factorial comb perm gcd lcm".split()},
}  # fmt: skip
