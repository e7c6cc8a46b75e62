"""The Makefile: what is written after `make` arrives at Python as it was written, and GNU Make 3.81, which macOS has, can read it all.

A stand-in for Python prints its arguments and its environment, so that real commands of `make` cost nothing.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from lib.settings import PROJECT_ROOT

MAKEFILE = (PROJECT_ROOT / "Makefile").read_text("utf-8")
STAND_IN = f"""#!{sys.executable}
import json, os, sys
print(json.dumps([sys.argv[1:], dict(os.environ)]))
"""


def without_make(**more: str) -> dict[str, str]:
    """Return this environment without what a `make` that runs the tests has put into it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))} | more


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What make would do: `-n` runs nothing."""
    command = ["make", "-n", "ENV=active", f"PYTHON={sys.executable}", *words]
    return subprocess.run(command, cwd=PROJECT_ROOT, env=without_make(**environment), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("a python's folder") / "python 3"
    path.write_text(STAND_IN)
    path.chmod(0o755)
    return path


def passed_on(stand_in: Path, *words: str, **environment: str) -> list[Any]:
    """Run `make` for real; return the arguments and the environment of each Python that it starts."""
    command = ["make", "ENV=active", f"PYTHON={stand_in}", *words]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=without_make(**environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(*words: str, cwd: Path = PROJECT_ROOT) -> str:
    """Run `make` for real; return what it says when it does not go on."""
    command = ["make", "-f", str(PROJECT_ROOT / "Makefile"), f"PYTHON={sys.executable}", *words]
    done = subprocess.run(command, cwd=cwd, env=without_make(), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stderr


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────

VALUES = [
    "a b", "a  b ", "Text Tutoring's Prompts.csv", '"quoted"', "a$b", "$", "$$", "${HOME}", "$(RUN)", "$(", "$(shell touch {0})",
    "$(error stop)", "`touch {0}`", "$(touch {0})", "a;touch {0}", "a#b", "100%", "a,b", "a\\b", "a\\", "a|b&c>d", "*", "~", "=", "x=y",
    "(a", "a)", "-x", "@x", "+x", "a:b", "'", "'\\''", "\\$", "!x", "{a,b}", "[a]", "é…", "a\tb", "a\rb",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_a_value_arrives_as_it_was_written(value: str, stand_in: Path, tmp_path: Path) -> None:
    value = value.replace("{0}", str(tmp_path / "ran"))
    [(arguments, environment)] = passed_on(stand_in, "generate", f"SEEDS_CSV={value}")
    assert arguments == ["-m", "lib.commands", "notebooks", "01_generate", "RUN=quick", f"SEEDS_CSV={value}"]
    assert "SEEDS_CSV" not in environment, "make would expand it"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["validate", "FILE={}"], ["-m", "lib.commands", "validate", "--", "{}"]),
        (["validate", "FILE={}", "FORM=general"], ["-m", "lib.commands", "validate", "--form", "general", "--", "{}"]),
        (["rerun", "FROM={}"], ["-m", "lib.commands", "rerun", "{}"]),
        (["rerun", "FROM={}", "RUN={}"], ["-m", "lib.commands", "rerun", "{}", "RUN={}"]),
        (["estimate", "RUN={}"], ["-m", "lib.commands", "estimate", "plan", "RUN={}", "NUM_SEEDS=250", "SAMPLES_PER_SEED=4"]),
        (["review", "OUTPUTS_DIR={}"], ["-m", "lib.commands", "review", "OUTPUTS_DIR={}"]),
    ],
)
def test_so_does_one_that_is_not_a_setting_or_belongs_to_one_command(words: list[str], arguments: list[str], stand_in: Path) -> None:
    value = "-it's $(shell echo) `x` $HOME; #1, 100 %"
    [(found, _)] = passed_on(stand_in, *(word.replace("{}", value) for word in words))
    assert found == [word.replace("{}", value) for word in arguments]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1).filter(lambda text: text[0] not in " \t\v\f\r"))
@bounded(max_examples=25, deadline=None)
def test_any_line_arrives_as_it_was_written(stand_in: Path, value: str) -> None:
    """But for blanks before it, which make itself takes off."""
    [(arguments, _)] = passed_on(stand_in, "filter", f"MODEL={value}")
    assert arguments[-1] == f"MODEL={value}"


def test_values_arrive_at_every_step_of_a_command(stand_in: Path) -> None:
    steps = [arguments[2] for arguments, _ in passed_on(stand_in, "full", "BUDGET_USD=3", "MODEL=a$b")]
    assert steps == ["estimate", "notebooks", "summary"]
    assert all("MODEL=a$b" in arguments for arguments, _ in passed_on(stand_in, "full", "BUDGET_USD=3", "MODEL=a$b"))


def test_a_value_of_several_lines_is_refused() -> None:
    assert "MODEL must be one line" in refused("generate", "MODEL=a\nb")


def test_make_passes_on_what_is_given_and_no_more() -> None:
    said = make("generate", "NUM_SEEDS=3", "SEEDS_CSV=Text Tutoring's Prompts.csv", "GOLD_EFFORT=").stdout
    assert "'NUM_SEEDS=3'" in said and "'GOLD_EFFORT='" in said and "'RUN=quick'" in said
    assert "'SEEDS_CSV=Text Tutoring'\\''s Prompts.csv'" in said
    assert "VOTES" not in said


def test_only_the_tests_read_a_value_from_the_environment(stand_in: Path) -> None:
    [(arguments, environment)] = passed_on(stand_in, "test", "BENCHMARK_CSV=it's $HOME.csv")
    assert (arguments, environment["BENCHMARK_CSV"]) == (
        ["-m", "pytest", "--numprocesses", "auto", "--dist", "worksteal"],
        "it's $HOME.csv",
    )
    assert "BENCHMARK_CSV" not in passed_on(stand_in, "test")[0][1]


def test_the_lab_takes_options_in_one_word(stand_in: Path) -> None:
    [(arguments, _)] = passed_on(stand_in, "lab", "OPTIONS=--no-browser --port=8889")
    assert arguments == ["-m", "lib.commands", "lab", "--no-browser --port=8889"]


def test_commands_after_the_first_leave_the_choice_of_the_run_to_python(stand_in: Path) -> None:
    """Which is the last run made."""
    for command in ("filter", "analyze", "validate", "topup", "review", "crosscheck"):
        [(arguments, _)] = passed_on(stand_in, command)
        assert not any(word.startswith("RUN=") for word in arguments), command
    for command in ("run", "generate"):
        assert "RUN=quick" in passed_on(stand_in, command)[0][0]


EXPORTED = ("MODEL", "ENV", "FILE", "FORM", "FROM", "RUN", "MODE", "VOTES", "SUBJECTS", "TOP_UP", "BUDGET_USD")


def test_make_takes_no_values_from_what_the_shell_happens_to_export(stand_in: Path) -> None:
    exported = dict.fromkeys(EXPORTED, "of $(shell the) shell")
    for command in ("generate", "validate", "topup", "estimate", "crosscheck"):
        assert passed_on(stand_in, command, **exported)[0][0] == passed_on(stand_in, command)[0][0]
    assert "say how much it may cost" in make("full", **exported).stderr
    assert "say which run" in make("rerun", **exported).stderr


def test_making_a_full_run_without_a_budget_is_refused() -> None:
    said = make("full")
    assert said.returncode != 0 and "say how much it may cost" in said.stderr


def test_a_form_that_is_none_is_refused() -> None:
    for form in ("generale", "general strict", "$(FILE)"):
        assert "FORM is strict, general, preferences or rubrics" in refused("validate", f"FORM={form}", "ENV=active")


def test_a_signal_to_make_reaches_python_itself(tmp_path: Path) -> None:
    """Not a shell in between, which would end and leave it alone. Of SIGTERM make tells its child; of others the terminal tells both."""
    stand_in = tmp_path / "python"
    stand_in.write_text(
        f"#!{sys.executable}\nimport signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit('told'))\n"
        "print('ready', flush=True)\nwhile True: time.sleep(60)\n"
    )
    stand_in.chmod(0o755)
    command = ["make", "run", "ENV=active", f"PYTHON={stand_in}"]
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, env=without_make(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout and running.stdout.readline() == "ready\n"
        running.terminate()
        assert "told\n" in running.communicate(timeout=10)[1]


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_make_suggests_the_variable_that_was_meant() -> None:
    said = make("generate", "NUM_SEED=3")
    assert said.returncode != 0 and "NUM_SEED is not a variable of this Makefile. Did you mean NUM_SEEDS?" in said.stderr


@pytest.mark.parametrize("name", ["A;>ran;", "$$(>ran)", "`>ran`", "a'>ran'b", 'a"b', "N%", "%", "PY", "quoted", "name", "sign"])
def test_a_name_that_is_no_variable_is_refused_and_runs_nothing(name: str, tmp_path: Path) -> None:
    assert "is not a variable of this Makefile" in refused("run", f"{name}=1", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_neither_does_the_value_of_one(tmp_path: Path) -> None:
    assert "Did you mean NUM_SEEDS?" in refused("run", "NUM_SEED=$(shell touch ran)", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("environment", ["", "a b", "a ", "a%", "a:b", "a$(shell touch ran)", "a;touch ran", "a#b", "a'b", "`touch ran`"])
def test_an_environment_with_a_name_that_make_can_not_quote_is_refused(environment: str, tmp_path: Path) -> None:
    assert "ENV names the folder of an environment" in refused("run", f"ENV={environment}", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


# ── help ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_make_alone_says_what_there_is_with_one_example() -> None:
    said = subprocess.run(["make"], cwd=PROJECT_ROOT, env=without_make(), capture_output=True, text=True, check=True).stdout
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert sorted(line.split()[1] for line in said.splitlines() if line.startswith("  make ")) == sorted([*phony.split(), "run"])
    assert "make run NUM_SEEDS=10 SEEDS_CSV='Text Tutoring Prompts.csv'" in said
    assert "$" not in said.replace("<US dollars>", "")
    assert max(map(len, said.splitlines())) <= 140


# ── GNU Make 3.81 ────────────────────────────────────────────────────────────────────────────────────────────────────

# What it knows: the manual of 3.81, chapters 8 and 4.9 and the index of directives.
FUNCTIONS = """
    subst patsubst strip findstring filter filter-out sort word words wordlist firstword lastword dir notdir suffix basename addsuffix
    addprefix join wildcard realpath abspath error warning info shell origin flavor foreach if or and call eval value
""".split()
SPECIAL_TARGETS = """
    .PHONY .SUFFIXES .DEFAULT .PRECIOUS .INTERMEDIATE .SECONDARY .SECONDEXPANSION .DELETE_ON_ERROR .IGNORE .LOW_RESOLUTION_TIME .SILENT
    .EXPORT_ALL_VARIABLES .NOTPARALLEL .POSIX
""".split()
SPECIAL_VARIABLES = ".DEFAULT_GOAL .VARIABLES .FEATURES .INCLUDE_DIRS .LIBPATTERNS".split()
DIRECTIVES = "ifeq ifneq ifdef ifndef else endif include -include sinclude define endef override export unexport vpath".split()

# What came later, with the version whose NEWS names it, and an example.
LATER = {
    "undefine": ("3.82", r"^\s*(override\s+)?undefine\b|eval undefine", "$(eval undefine MODEL)"),
    "private": ("3.82", r"(^|:)\s*private\s", "all: private A := 1"),
    ".ONESHELL": ("3.82", r"\.ONESHELL", ".ONESHELL:"),
    ".SHELLFLAGS": ("3.82", r"\.SHELLFLAGS", ".SHELLFLAGS := -ec"),
    ".RECIPEPREFIX": ("3.82", r"\.RECIPEPREFIX", ".RECIPEPREFIX = >"),
    "define with an operator": ("3.82", r"^\s*(override\s+)?define\s+\S+\s*[:+?!]*=", "define text ="),
    "several modifiers": ("3.82", r"(^|:)\s*(export|override)\s+(export|override|define)\b", "export override A := 1"),
    "explicit and pattern targets by their stems": ("3.82", r"^[^\t#=]*%[^=]*:(?!=)", "%.ready: %.lock"),
    "!=": ("4.0", r"^\s*[\w.-]+\s*!=", "now != date"),
    "::=": ("4.0", r"^\s*[\w.-]+\s*::+=", "now ::= 1"),
    "$(file)": ("4.0", r"\$[({]file\b", "$(file >x,y)"),
    "$(guile)": ("4.0", r"\$[({]guile\b", "$(guile 1)"),
    "load": ("4.0", r"^\s*-?load\s", "load ./x.so"),
    "--output-sync, --trace": ("4.0", r"--output-sync|--trace|MAKEFLAGS.*-O", "MAKEFLAGS += --output-sync"),
    "GNUMAKEFLAGS, MAKE_HOST": ("4.0", r"GNUMAKEFLAGS|MAKE_HOST", "$(MAKE_HOST)"),
    "MAKE_TERMOUT": ("4.1", r"MAKE_TERM(OUT|ERR)", "$(MAKE_TERMOUT)"),
    ".SHELLSTATUS": ("4.2", r"\.SHELLSTATUS", "$(.SHELLSTATUS)"),
    "# within a function": ("4.3", r"^[^\t#]*\$[({][a-z-]+ [^#]*#", "A := $(shell echo '#')"),
    "&:": ("4.3", r"^[^\t#]*&:", "a b &: c"),
    ".EXTRA_PREREQS": ("4.3", r"\.EXTRA_PREREQS", ".EXTRA_PREREQS = x"),
    "sorted $(wildcard)": ("4.3", r"\$[({]wildcard\b", "$(wildcard *.x)"),
    "$(let), $(intcmp)": ("4.4", r"\$[({](let|intcmp)\b", "$(intcmp 1,2)"),
    ".WAIT, .NOTINTERMEDIATE": ("4.4", r"\.WAIT\b|\.NOTINTERMEDIATE\b", "all: a .WAIT b"),
}


def later_than_3_81(text: str) -> dict[str, str]:
    """Return what GNU Make 3.81 does not know in `text`: the feature and the version that brought it."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if not line.lstrip(" ").startswith("#")]
    return {name: version for name, (version, pattern, _) in LATER.items() if any(re.search(pattern, line) for line in lines)}


def used_by(text: str) -> dict[str, set[str]]:
    """Return which functions, directives, special targets and special variables are used outside comments and recipes."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if not line.startswith("#")]
    whole, heads = "\n".join(lines), [line for line in lines if not line.startswith("\t")]
    words = {line.split()[0] for line in heads if line and not re.match(r"\s*[\w.$()/-]+(\s+[\w.]+)*\s*(:|[?+:]?=)", line)}
    return {
        "functions": set(re.findall(r"(?<!\$)\$[({]([a-z][a-z-]*)[ ,]", whole)),
        "directives": {word for word in words if not word.startswith("$")},
        "special": set(re.findall(r"(?<![\w/)*.])\.[A-Z_]+\b", whole)),
        "operators": set(re.findall(r"^(?:[\w ]+: )?\w+ ([^\w\s$]*=)", "\n".join(heads), flags=re.MULTILINE)),
    }


@pytest.mark.parametrize("feature", LATER)
def test_a_feature_that_came_later_would_be_found(feature: str) -> None:
    version, _, example = LATER[feature]
    assert later_than_3_81(f"# {example}\nall: $(READY)\n\t@echo\n{example}\n")[feature] == version


def test_gnu_make_3_81_has_all_that_the_makefile_uses() -> None:
    assert later_than_3_81(MAKEFILE) == {}
    used = used_by(MAKEFILE)
    assert used["functions"] and sorted(used["functions"] - set(FUNCTIONS)) == []
    assert used["directives"] and sorted(used["directives"] - set(DIRECTIVES)) == []
    assert used["special"] and sorted(used["special"] - {*SPECIAL_TARGETS, *SPECIAL_VARIABLES}) == []
    assert used["operators"] and sorted(used["operators"] - {"=", ":=", "?=", "+="}) == []


def test_what_is_used_is_found() -> None:
    text = "A := $(strip $(or $(B),c))\nifeq (a,b)\n.ONESHELL:\nB ::= x\nmagic word\nall: ; @echo\n\t@echo $$(date)\nendif\n"
    assert used_by(text) == {
        "functions": {"strip", "or"}, "directives": {"ifeq", "endif", "magic"}, "special": {".ONESHELL"}, "operators": {":=", "::="},
    }  # fmt: skip
