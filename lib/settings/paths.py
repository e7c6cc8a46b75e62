"""Paths as people write them, relative ones from the project's root, whatever folder the kernel runs in."""

from pathlib import Path

from lib.errors import KitError, plain

PROJECT_ROOT = Path(__file__).resolve().parents[2]


class SettingsError(KitError):
    """A parameter is misspelt or out of bounds."""


def from_root(path: str) -> Path:
    """Return `path` as an absolute path. Raises SettingsError when it begins with the home folder of an unknown user."""
    try:
        return PROJECT_ROOT / Path(path).expanduser()
    except RuntimeError:  # `~name`, and there is no such user
        raise SettingsError(f"{plain(path)}: the home folder that it begins with is not there. Write the whole path.") from None


def short_path(path: Path) -> str:
    """Return `path` for a message. A path inside the project is shortened to start at the project's root."""
    return str(path.relative_to(PROJECT_ROOT)) if path.is_relative_to(PROJECT_ROOT) else str(path)
