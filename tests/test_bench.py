"""Every benchmark runs, at a size at which it measures nothing: the figures in README come from code that still works."""

import re
from typing import Any

import pytest

from tests.bench import engine
from tests.bench.__main__ import PARTS

SMOKE: dict[str, dict[str, Any]] = {
    "clean": {"seeds": 2},
    "faults": {"seeds": 2},
    "capacity": {"seeds": 2},
    "kill": {"seeds": 1, "kills": 1},
    "memory": {"few": 4, "many": 8},
    "wide": {"seeds": 2, "width": 20, "latency_s": 0.02},
    "journal": {"replies": 300},
    "cost": {"seeds": 4},
    "gates": {"sizes": {20: 5}},
    "validator": {"examples": 20, "large": 40, "repeats": 1},
}


@pytest.mark.parametrize("name", PARTS)
def test_a_benchmark_yields_its_figures(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MEAN_S", 0.02)
    rows = list(PARTS[name](**SMOKE[name]))
    assert rows
    for what, figure, aim in rows:
        assert what and aim
        assert re.search(r"\d|yes", figure) and not re.search(r"\b(nan|inf|NO)\b", figure), (what, figure)
