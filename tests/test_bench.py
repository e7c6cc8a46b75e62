"""Every benchmark runs, at a size at which it measures nothing: the figures in tests/bench/README.md come from code that still works."""

import re
import subprocess
import sys
from typing import Any

import pytest

from lib.settings import PROJECT_ROOT
from tests.bench import engine
from tests.bench.__main__ import BY_NAME_ONLY, PARTS, main

SMOKE: dict[str, dict[str, Any]] = {
    "clean": {"seeds": 2},
    "faults": {"seeds": 2},
    "capacity": {"seeds": 2},
    "kill": {"seeds": 1, "kills": 1},
    "memory": {"few": 4, "many": 8},
    "wide": {"seeds": 2, "width": 20, "latency_s": 0.02},
    "journal": {"replies": 300},
    "cost": {"seeds": 2},
    "gates": {"sizes": {20: 5}},
    "validator": {"examples": 20, "large": 40, "repeats": 1},
    "million": {"sizes": (40,)},
    "labels": {"runs": 10},
}


@pytest.mark.parametrize("name", PARTS)
def test_a_benchmark_yields_its_figures(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MEAN_S", 0.02)
    rows = list(PARTS[name](**SMOKE[name]))
    assert rows
    for what, figure, aim in rows:
        assert what and aim
        assert re.search(r"\d|yes", figure) and not re.search(r"\b(nan|inf|NO)\b", figure), (what, figure)


def test_the_fleet_yields_its_figures_and_loses_nothing_where_ray_is_installed() -> None:
    pytest.importorskip("ray")
    figures = {what.strip(): figure for what, figure, _ in BY_NAME_ONLY["fleet"](seeds=4, mean_s=0.5)}
    assert figures["4 replicas on 2 nodes, one killed half-way: samples lost of 16"] == "0"
    assert figures["files equal to those of an undisturbed run"] == "yes, byte for byte"


def test_a_lost_sample_is_a_figure_of_the_benchmark_and_not_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MEAN_S", 0.02)
    monkeypatch.setattr(engine, "FAULTS", ("400=0.1", "refusal=0.1"))
    monkeypatch.setattr(engine, "WITHOUT_GATES", engine.WITHOUT_GATES | {"min_call_success": 0.0})
    figures = {what.strip(): figure for what, figure, _ in engine.faults(seeds=5)}
    assert 1 <= int(figures["samples lost of 20"]) <= 20


BALLAST = "import subprocess, sys; ballast = bytearray(400_000_000); print(subprocess.check_output(sys.argv[1:], text=True))"


def test_the_peak_of_a_process_is_its_own_and_not_that_of_the_one_that_started_it() -> None:
    child = [sys.executable, "-c", "from tests.bench.peak import peak_mb; print(peak_mb())"]
    said = subprocess.run([sys.executable, "-c", BALLAST, *child], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    assert 1 < float(said) < 200


def test_an_unknown_benchmark_is_named_with_those_that_there_are() -> None:
    with pytest.raises(SystemExit, match=r"There is no benchmark memroy\. There are: clean, faults, .*million, labels, fleet\."):
        main(["memroy"])
