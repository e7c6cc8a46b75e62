"""Every parameter of a run on the screen: its name for `make`, its default, what it may be, and what it means."""

from lib.settings import Settings
from lib.settings.bounds import allowed


def main(words: list[str]) -> int:
    """Print all parameters, one a paragraph."""
    for name, field in Settings.model_fields.items():
        default = field.default if not isinstance(field.default, tuple) else f"all {len(field.default)}"
        print(f"{name.upper()} = {default if default != '' else '(empty)'}")
        print(f"    {field.description}; {allowed(field)}")
    return 0
