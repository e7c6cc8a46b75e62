"""Every parameter of a run, with its default, unit and bounds."""

from lib.settings.bounds import FEWEST_PLANTED, planted_count, prices
from lib.settings.paths import PROJECT_ROOT, SettingsError, from_root, short_path
from lib.settings.settings import Settings
from lib.settings.sources import check_names, headless, notebook_values, setting_pairs, settings_of

__all__ = [
    "FEWEST_PLANTED",
    "PROJECT_ROOT",
    "Settings",
    "SettingsError",
    "check_names",
    "from_root",
    "headless",
    "notebook_values",
    "planted_count",
    "prices",
    "setting_pairs",
    "settings_of",
    "short_path",
]
