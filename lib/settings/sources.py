"""Where settings come from: a notebook's parameters cells, or the `name=value` words of a command line."""

import ast
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from lib.errors import KitError
from lib.settings.bounds import nearest
from lib.settings.paths import PROJECT_ROOT, SettingsError
from lib.settings.settings import Settings

INJECTED_CELL = "# Parameters"  # the first line of the cell that papermill adds
LIKE_A_SETTING = 0.85  # similarity of a name to a setting from which it is a slip


def notebook_values(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the settings that a notebook's cells define. `namespace` is the notebook's `globals()`.

    From then on the notebook prints a KitError as one line instead of a traceback. Raises SettingsError for a name that was injected, or
    that stands in the parameters cell, and is no setting, and for one in another cell of plain values that is nearly a setting.
    """
    _print_errors_as_one_line()
    refuse_settings_in_env_file()
    for source in namespace.get("In", []):
        if source.startswith(INJECTED_CELL) or _is_parameters_cell(source):
            check_names(_assigned(source))
        elif slip := next((name for name in _plain_values(source) if _is_slip(name)), ""):
            check_names([slip])
    return {name: namespace[name] for name in Settings.model_fields if name in namespace}


def refuse_settings_in_env_file() -> None:
    """Raise SettingsError when `.env` holds settings, which are not read from there, so that none is ignored without a word."""
    from dotenv import dotenv_values

    with suppress(OSError, UnicodeDecodeError):  # reported where a key is read
        held = [name for name, value in dotenv_values(PROJECT_ROOT / ".env", encoding="utf-8-sig").items() if value and name.isupper()]
        if found := [name for name in held if name.lower() in Settings.model_fields]:
            raise SettingsError(
                f".env holds {', '.join(found)}, but settings are not read from there. Take them out, and write them after make "
                f"(make run {found[0]}=…) or into the notebook's parameters cell."
            )


def settings_of(pairs: Iterable[str]) -> Settings:
    """Return settings from `name=value` words, with names in small or capital letters. Raises SettingsError."""
    refuse_settings_in_env_file()
    values = {name.lower(): value for name, _, value in (pair.partition("=") for pair in pairs)}
    check_names(values)
    return Settings.of(**values)


def setting_pairs(settings: Settings) -> list[str]:
    """Return the `name=value` words that give these settings."""
    values = settings.model_dump(mode="json").items()
    return [f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in values]


def check_names(names: Iterable[str]) -> None:
    """Raise SettingsError when one of `names` is no setting, and suggest the nearest."""
    for name in names:
        if name not in Settings.model_fields:
            close = nearest(name, Settings.model_fields, cutoff=0.6)
            hint = f"Did you mean `{close}`?" if close else f"Known: {', '.join(Settings.model_fields)}."
            raise SettingsError(f"`{name}` is not a parameter. {hint}")


def headless() -> bool:
    """Whether papermill runs this notebook. Progress is then written line by line."""
    shell = _shell()
    injected = shell is not None and any(source.startswith(INJECTED_CELL) for source in shell.user_ns.get("In", []))
    return injected or "TUTORING_HEADLESS" in os.environ


def _assigned(source: str) -> list[str]:
    """Return the names that a cell assigns. There are none in a cell that is not Python, as one with a magic."""
    return [target.id for line in _assignments(source) for target in _targets(line) if isinstance(target, ast.Name)]


def _assignments(source: str) -> list[ast.Assign | ast.AnnAssign]:
    try:
        return [line for line in ast.parse(source).body if isinstance(line, ast.Assign | ast.AnnAssign)]
    except SyntaxError:
        return []


def _targets(line: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return line.targets if isinstance(line, ast.Assign) else [line.target]


def _is_parameters_cell(source: str) -> bool:
    """Whether a cell begins with the name of a run, as the parameters cell of each notebook does."""
    first = next(iter(_assignments(source)), None)
    return first is not None and _assigned(source)[:1] == ["run"] and not isinstance(first.value, ast.Call)


def _plain_values(source: str) -> list[str]:
    """Return the names that a cell gives plain values, such as numbers and texts."""
    plain = (ast.Constant, ast.List, ast.Tuple, ast.UnaryOp)
    return [
        target.id
        for line in _assignments(source)
        if isinstance(line.value, plain)
        for target in _targets(line)
        if isinstance(target, ast.Name)
    ]


def _is_slip(name: str) -> bool:
    """Whether a name is a misspelt setting. A name of one word, such as `subject`, is taken for a variable of the user's own."""
    return "_" in name and name not in Settings.model_fields and bool(nearest(name, Settings.model_fields, cutoff=LIKE_A_SETTING))


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _print_errors_as_one_line() -> None:
    def handler(*given: Any, **_: Any) -> list[str]:
        shell, kind, error = given[:3]
        lines = [f"{kind.__name__}: {error}"]
        shell._showtraceback(kind, error, lines)
        return lines

    if shell := _shell():
        shell.set_custom_exc((KitError,), handler)
