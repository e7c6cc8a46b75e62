"""Every parameter of a run has a type, a bound and a meaning; a misspelt one is an error, not silence."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.commands.__main__ import main
from lib.llm.budget import price_of
from lib.llm.call import Usage
from lib.run.run import open_run
from lib.settings import PROJECT_ROOT, Settings, SettingsError, check_names, from_root, notebook_values, settings_of
from lib.taxonomy import MISCONCEPTION_TYPES, SUBJECTS


def refusal(**values: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.of(**values)
    return str(caught.value)


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("written", "meant"),
    [("num_seed", "num_seeds"), ("sample_per_seed", "samples_per_seed"), ("budget", "budget_usd"), ("judge_models", "judge_model")],
)
def test_a_misspelt_name_is_refused_with_the_nearest(written: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"`{written}`.*`{meant}`"):
        check_names([written])


def test_a_name_like_none_of_them_is_refused_with_all_of_them() -> None:
    with pytest.raises(SettingsError) as caught:
        check_names(["xyzzy"])
    assert all(name in str(caught.value) for name in Settings.model_fields)


def test_settings_themselves_take_no_unknown_name() -> None:
    assert "`num_sedes` is not a parameter" in refusal(num_sedes=3)


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────

OUT_OF_BOUNDS: list[tuple[str, Any]] = [
    ("num_seeds", 0),
    ("num_seeds", 2.5),
    ("num_seeds", "many"),
    ("samples_per_seed", -1),
    ("random_seed", -1),
    ("max_concurrency", 0),
    ("max_concurrency", 5001),
    ("budget_usd", 0),
    ("budget_usd", float("nan")),
    ("budget_usd", "inf"),
    ("max_tokens", 255),
    ("max_tokens", 21_334),
    ("timeout_s", 0),
    ("min_call_success", 1.01),
    ("critical_pass_threshold", 1.0),
    ("critical_pass_threshold", -0.1),
    ("critical_pass_threshold", 80),
    ("provider", "azure"),
    ("mode", "fast"),
    ("on_bad_row", "ignore"),
    ("judge_effort", "extreme"),
    ("misconception_types", "overgeneralization, typo"),
    ("show_rubrics_to_tutor", "perhaps"),
]


NUMBERS = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]
TEXTS = [name for name, field in Settings.model_fields.items() if field.annotation is str]
PYDANTICS_WORDS = re.compile(r"Input should|Value error|valid string|String should|Assertion|\?\.|It is:")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "-inf", "1e400", "1" * 5000, 10**30, -(10**30), None, "", [], {}])
def test_every_number_has_an_upper_and_a_lower_bound_and_is_finite(name: str, value: Any) -> None:
    message = refusal(**{name: value})
    assert message.startswith(f"`{name}` = ")
    assert "number" in message and Settings.model_fields[name].description in message
    assert len(message) < 500 and not PYDANTICS_WORDS.search(message)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "value", [" ", "\t", "\u200b", "a\nb", "a\x00b", "a\x1b[31mb", "a\udcffb", "a\u2028b", "x" * 1001, None, [], {"a": 1}]
)
def test_no_text_is_blank_endless_or_holds_what_can_not_be_printed(name: str, value: Any) -> None:
    message = refusal(**{name: value})
    assert message.startswith(f"`{name}` = ") and message.isprintable()
    assert len(message) < 500 and not PYDANTICS_WORDS.search(message)


@pytest.mark.parametrize("name", ["outputs_dir", "seeds_csv", "topics_csv", "model", "judge_model", "run"])
def test_what_must_name_something_is_not_empty(name: str) -> None:
    assert f"`{name}` = ''" in refusal(**{name: ""})


@pytest.mark.parametrize(
    "names", [[" "], ["a\nb"], ["x" * 201], ["a", ""], ["\u200b"], "a\x07b", ["a\udc80"], [f"s{number}" for number in range(1001)]]
)
def test_a_subject_that_is_blank_endless_or_not_printable_is_refused(names: Any) -> None:
    assert refusal(subjects=names).startswith("`subjects` = ")


def test_blanks_around_a_name_do_not_count() -> None:
    assert Settings.of(subjects=[" finance ", "my subject"]).subjects == ("finance", "my subject")


@pytest.mark.parametrize("name", ["a b", "a\u00a0b", " a", "a\u200bb", "x" * 201])
def test_a_models_name_has_no_blanks_and_can_be_printed(name: str) -> None:
    assert "`model`" in refusal(model=name) and "`judge_model`" in refusal(judge_model=name)
    assert Settings.of(model="hf.co/Qwen/Qwen3-8B:Q4_K_M@1").model == "hf.co/Qwen/Qwen3-8B:Q4_K_M@1"


def test_a_plan_may_have_a_million_samples_and_no_more() -> None:
    """The design says 100,000 to 1,000,000."""
    assert Settings.of(num_seeds=1_000_000, samples_per_seed=1).planned_samples == 1_000_000
    assert Settings.of(num_seeds=1, samples_per_seed=1_000_000).planned_samples == 1_000_000
    assert "`num_seeds` = 1000001: give a whole number from 1 to 1,000,000" in refusal(num_seeds=1_000_001)
    said = refusal(num_seeds=500_001, samples_per_seed=2)
    assert said.startswith("`num_seeds` × `samples_per_seed` = 1,000,002: a run can have up to 1,000,000 samples")


@pytest.mark.parametrize(("name", "least", "most"), [("timeout_s", 1, 86_400), ("batch_poll_s", 0.01, 3_600)])
def test_a_wait_is_neither_none_nor_endless(name: str, least: float, most: float) -> None:
    for value in (least, most):
        assert getattr(Settings.of(**{name: value}), name) == value
    for value in (least / 2, most * 2, 1e-9):
        assert f"give a number from {least:,} to {most:,}" in refusal(**{name: value})


@pytest.mark.parametrize("price", ["-1/2", "1/-2", "nan/1", "1/inf", "1e999/1", "1", "1/2/3", "/", "2,10", "2/1e9", "a/b", "--/1"])
def test_a_price_is_two_finite_numbers_that_are_not_negative(price: str) -> None:
    assert "write 'input/output'" in refusal(price_usd_per_mtok=price)


@pytest.mark.parametrize("price", ["", "2/10", "0/0", " 0.25 / 1.5 ", "1e1/2"])
def test_a_price_may_be_left_out_or_free(price: str) -> None:
    assert Settings.of(price_usd_per_mtok=price).price_usd_per_mtok == price


@settings(deadline=None)
@given(price=st.text(st.sampled_from("0123456789./-+e nainf_"), max_size=12))
def test_every_price_that_is_accepted_can_be_reckoned_with(price: str) -> None:
    """A negative one would take the cap away, and one that is no number could not be stored."""
    try:
        accepted = Settings.of(price_usd_per_mtok=price).price_usd_per_mtok
    except SettingsError:
        return
    if accepted:
        cost = price_of("a-model", named=accepted).cost_usd(Usage(input=1_000_000, output=1_000_000))
        assert 0 <= cost < 1_000_000


@pytest.mark.parametrize("name", ["a" * 101, "a.", "a..", "1."])
def test_a_run_name_is_short_and_does_not_end_in_a_dot(name: str) -> None:
    """Windows drops the dot, and a folder's name must leave room for what lies in it."""
    assert "`run`" in refusal(run=name)
    assert Settings.of(run="a" * 100).run == "a" * 100


def test_what_may_be_given_is_said_in_plain_words() -> None:
    assert refusal(mode="fast") == "`mode` = 'fast': give live or batch. Meaning: batch: half the price, up to 24 h."
    assert refusal(top_up="perhaps").startswith("`top_up` = 'perhaps': give true or false. Meaning: ")
    assert refusal(num_seeds=0) == "`num_seeds` = 0: give a whole number from 1 to 1,000,000. Meaning: seeds used."
    assert "give a number above 0 and up to 1." in refusal(max_alike_share=0)
    assert "give a number from 0 and below 1." in refusal(critical_pass_threshold=1)
    assert "did you mean algorithms instead of algoritms? Meaning" in refusal(subjects="algoritms")


def test_a_home_folder_that_is_not_there_is_one_clear_line() -> None:
    with pytest.raises(SettingsError, match=r"~nobody-has-this-name/x: the home folder .* Write the whole path"):
        from_root("~nobody-has-this-name/x")


@pytest.mark.parametrize(("name", "value"), OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_refused_by_name_and_value(name: str, value: Any) -> None:
    message = refusal(**{name: value})
    assert f"`{name}`" in message
    assert str(value).split(", ")[-1] in message


def test_every_problem_is_told_at_once() -> None:
    message = refusal(num_seeds=0, mode="fast")
    assert "`num_seeds`" in message
    assert "`mode`" in message


def test_the_defaults_are_the_small_run_with_a_cap() -> None:
    small = Settings.of()
    assert (small.run, small.num_seeds, small.samples_per_seed, small.budget_usd) == ("quick", 2, 2, 5.0)
    assert small.planned_samples == 4
    assert small.model != small.judge_model
    assert not small.show_rubrics_to_tutor


def test_every_parameter_says_what_it_means() -> None:
    assert all(field.description for field in Settings.model_fields.values())


# ── the threshold ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_threshold_is_four_fifths_and_not_the_nearest_float() -> None:
    assert Settings.of().threshold == Fraction(4, 5)
    assert Settings.of(critical_pass_threshold="0.8").threshold == Fraction(4, 5)


@settings(deadline=None)
@given(hundredths=st.integers(0, 99))
def test_every_threshold_is_exactly_what_was_written(hundredths: int) -> None:
    assert Settings.of(critical_pass_threshold=hundredths / 100).threshold == Fraction(hundredths, 100)


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_list_may_be_written_with_commas_or_as_a_list() -> None:
    assert Settings.of(subjects="finance, ecology").subjects == ("finance", "ecology")
    assert Settings.of(subjects=["finance", "ecology"]).subjects == ("finance", "ecology")


def test_a_name_given_twice_counts_once() -> None:
    assert Settings.of(subjects="finance,ecology,finance").subjects == ("finance", "ecology")


@pytest.mark.parametrize("nothing", ["", " , ", []])
def test_an_empty_list_means_all(nothing: Any) -> None:
    everything = Settings.of(subjects=nothing, misconception_types=nothing)
    assert everything.subjects == SUBJECTS
    assert everything.misconception_types == tuple(kind.id for kind in MISCONCEPTION_TYPES)


# ── paths ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_relative_paths_start_at_the_projects_root_wherever_the_kernel_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert from_root("data/seeds.csv") == PROJECT_ROOT / "data" / "seeds.csv"
    assert Settings.of(run="full").run_dir == PROJECT_ROOT / "outputs" / "full"


def test_absolute_paths_stay_as_they_are(tmp_path: Path) -> None:
    assert from_root(str(tmp_path / "my seeds.csv")) == tmp_path / "my seeds.csv"
    assert Settings.of(outputs_dir=str(tmp_path), run="a").run_dir == tmp_path / "a"


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert from_root("~/seeds.csv") == tmp_path / "seeds.csv"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", ".hidden", "a\\b", "x\n", "/etc", "-rf", "a b"])
def test_a_run_name_that_is_no_plain_name_is_refused(name: str) -> None:
    assert "`run`" in refusal(run=name)


@settings(deadline=None)
@given(name=st.text(st.sampled_from("ab1./\\.-_~ \n\x00")) | st.text())
def test_no_run_name_leads_out_of_the_outputs_folder(name: str) -> None:
    try:
        folder = Settings.of(run=name, outputs_dir="/outputs").run_dir
    except SettingsError:
        return
    assert folder.resolve() == Path("/outputs", name)
    assert folder.parent == Path("/outputs")


def test_a_run_may_be_named_by_a_number() -> None:
    """papermill reads `-p run 3` as a number."""
    assert Settings.of(run=3).run == "3"


# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_make_writes_the_names_in_capitals() -> None:
    read = settings_of(["NUM_SEEDS=10", "BUDGET_USD=0.5", "SHOW_RUBRICS_TO_TUTOR=true", "SUBJECTS=finance,ecology"])
    assert (read.num_seeds, read.budget_usd, read.show_rubrics_to_tutor, read.subjects) == (10, 0.5, True, ("finance", "ecology"))


def test_a_value_on_the_command_line_may_hold_blanks_and_equal_signs() -> None:
    assert settings_of(["SEEDS_CSV=my data/a=b.csv"]).seeds_csv == "my data/a=b.csv"


def test_a_misspelt_word_of_the_command_line_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="`num_seeds`"):
        settings_of(["NUM_SEED=10"])


def test_a_word_without_a_value_is_refused() -> None:
    with pytest.raises(SettingsError, match="`num_seeds`"):
        settings_of(["NUM_SEEDS"])


# ── notebooks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_notebook_passes_its_parameters_and_nothing_else() -> None:
    namespace = {"num_seeds": 7, "run": "mine", "json": object(), "figure": 1, "_i1": "num_seeds = 7", "In": ["", "num_seeds = 7"]}
    assert notebook_values(namespace) == {"num_seeds": 7, "run": "mine"}


def test_a_misspelt_parameter_that_papermill_injected_is_refused_with_the_nearest() -> None:
    """papermill itself injects an unknown name silently and exits with 0."""
    cells = ["", "num_seeds = 2  # seeds used", "# Parameters\nnum_seed = 3\n"]
    with pytest.raises(SettingsError, match=r"`num_seed`.*`num_seeds`"):
        notebook_values({"In": cells, "num_seeds": 2, "num_seed": 3})


@pytest.mark.parametrize("line", ["critcal_pass_threshold: float = 0.5  # a slip", "critcal_pass_threshold = 0.5"])
def test_a_parameter_misspelt_in_the_notebooks_own_cell_is_refused_with_the_nearest(line: str) -> None:
    with pytest.raises(SettingsError, match="Did you mean `critical_pass_threshold`"):
        notebook_values({"In": ["", f'run: str = "mine"\n{line}'], "run": "mine", "critcal_pass_threshold": 0.5})


def test_names_in_other_cells_are_the_users_own() -> None:
    cells = ["", "run = open_run(globals())\nmine = 3", "%matplotlib inline", "mine = 3"]
    assert notebook_values({"In": cells, "mine": 3}) == {}


@pytest.mark.parametrize("written", ["databases", "Databases", "US history", "linear algebra"])
def test_a_subject_may_be_written_as_tables_and_figures_show_it(written: str) -> None:
    assert Settings.of(subjects=written).subjects[0] in SUBJECTS


def test_an_injected_parameter_takes_effect() -> None:
    cells = ["", "num_seeds = 2", "# Parameters\nnum_seeds = 3\n"]
    assert notebook_values({"In": cells, "num_seeds": 3}) == {"num_seeds": 3}


def test_other_cells_may_define_what_they_like() -> None:
    cells = ["", "tries = 3", "runs = [1]", "subject = 'x'", "model_names = []", "num_sedes = len(names)"]
    assert notebook_values({"In": cells, "tries": 3}) == {}


@pytest.mark.parametrize(
    "line", ["num_sedes = 20", "num_seedes: int = 20  # more", "critical_pass_treshold = 0.5", "x = 1\njudge_modell = 'a'"]
)
def test_a_slip_in_a_cell_of_the_users_own_is_refused_with_the_nearest(line: str) -> None:
    """A new cell below the parameters cell is where people try a value."""
    with pytest.raises(SettingsError, match=r"is not a parameter\. Did you mean `"):
        notebook_values({"In": ["", 'run: str = "mine"', line], "run": "mine"})


def test_the_parameters_cell_may_reckon() -> None:
    with pytest.raises(SettingsError, match="`num_seed`"):
        notebook_values({"In": ["", 'run: str = "mine"\nnum_seed: int = 2 * 5'], "run": "mine"})


def test_a_notebook_whose_value_is_out_of_bounds_says_which() -> None:
    with pytest.raises(SettingsError, match="`num_seeds` = 0"):
        open_run({"num_seeds": 0})


def test_a_subject_that_is_nearly_a_known_one_is_a_slip_and_one_of_the_users_own_is_not() -> None:
    assert Settings.of(subjects="knitting, algorithms").subjects == ("knitting", "algorithms")
    with pytest.raises(SettingsError, match="did you mean algorithms instead of algoritms"):
        Settings.of(subjects="knitting, algoritms")


def test_a_name_of_a_run_that_is_no_folder_name_says_what_may_be_in_it() -> None:
    with pytest.raises(SettingsError, match="use letters, digits, dots, dashes and underscores"):
        Settings.of(run="a b")


def test_the_estimate_is_in_dollars_before_there_is_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "plan", "NUM_SEEDS=250", "SAMPLES_PER_SEED=4"]) == 0
    assert re.search(r"1,000 samples: [\d,]+ calls, \$\d+\.\d\d to \$\d+\.\d\d", capsys.readouterr().out)
