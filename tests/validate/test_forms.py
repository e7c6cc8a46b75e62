"""Files of preference pairs and of rubrics are checked line by line, and each problem says what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from lib.commands.__main__ import main
from lib.validate import TrainingFileError
from lib.validate.forms import validate_form

PROMPT = [{"role": "system", "content": "You tutor."}, {"role": "user", "content": "Why?"}]
GOOD, WEAK = [{"role": "assistant", "content": "Because."}], [{"role": "assistant", "content": "No."}]
TRL = {"prompt": PROMPT, "chosen": GOOD, "rejected": WEAK}
OPENAI = {"input": {"messages": PROMPT}, "preferred_output": GOOD, "non_preferred_output": WEAK}
KTO = {"prompt": PROMPT, "completion": GOOD, "label": True}
RUBRICS = {"prompt": PROMPT, "rubrics": [{"name": "r1", "description": "Says why.", "weight": 5}], "metadata": {}}


def codes(folder: Path, form: str, *lines: Any) -> list[str]:
    path = folder / "file.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return [problem.code for problem in validate_form(path, form).problems]


@pytest.mark.parametrize("entry", [TRL, OPENAI, KTO])
def test_a_pair_in_any_of_the_three_forms_is_valid(tmp_path: Path, entry: dict[str, Any]) -> None:
    assert codes(tmp_path, "preferences", entry) == []


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (TRL | {"rejected": GOOD}, "same_replies"),
        (TRL | {"chosen": [*PROMPT, *GOOD]}, "wrong_roles"),  # the prompt once more
        (TRL | {"prompt": [*PROMPT, *GOOD]}, "wrong_roles"),
        (TRL | {"chosen": []}, "missing_key"),
        (TRL | {"chosen": [{"role": "assistant", "content": " "}]}, "empty_content"),
        (TRL | {"chosen": [{"role": "tutor", "content": "So."}]}, "wrong_roles"),
        (KTO | {"label": "yes"}, "wrong_type"),
        ({"prompt": PROMPT, "chosen": GOOD}, "missing_key"),
        ("[1]", "not_object"),
        ("{", "not_json"),
    ],
)
def test_a_pair_that_a_trainer_would_stumble_over_is_named(tmp_path: Path, entry: Any, code: str) -> None:
    assert code in codes(tmp_path, "preferences", entry)


@pytest.mark.parametrize(
    ("rubrics", "code"),
    [
        ([], "missing_key"),
        ([{"name": "r1", "description": "So.", "weight": -5}], "wrong_weight"),
        ([{"name": "r1", "description": "So.", "weight": True}], "wrong_weight"),
        ([{"name": "r1", "description": "", "weight": 1}], "missing_key"),
        ([RUBRICS["rubrics"][0]] * 2, "wrong_type"),  # type: ignore[index]
    ],
)
def test_rubrics_that_a_trainer_would_refuse_are_named(tmp_path: Path, rubrics: Any, code: str) -> None:
    assert codes(tmp_path, "rubrics", RUBRICS) == []
    assert code in codes(tmp_path, "rubrics", RUBRICS | {"rubrics": rubrics})


def test_a_line_that_stands_twice_is_a_warning(tmp_path: Path) -> None:
    assert codes(tmp_path, "preferences", TRL, TRL) == ["duplicate"]


def test_the_command_checks_the_form_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes(tmp_path, "preferences", TRL, TRL | {"rejected": GOOD})
    assert main(["validate", str(tmp_path / "file.jsonl"), "--form", "preferences"]) == 1
    assert "not valid (preferences form), 2 lines, errors: 1" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingFileError, match="can't be read"):
        validate_form(tmp_path / "none.jsonl", "rubrics")
