"""Every parameter of a run on the screen, with its default, what it may be, and what it means."""

from lib.settings.bounds import allowed
from lib.settings.parts import part_of
from lib.settings.settings import Settings

HEADINGS = {  # by the part of a run that the settings decide
    "place": "Where files are",
    "input": "What is read",
    "plan": "Which samples are planned",
    "writing": "How they are written",
    "judging": "How they are judged",
    "filtering": "What is kept",
    "publishing": "What is drawn from what was kept",
    "endpoint": "Who answers",
    "engine": "Speed and money",
    "once": "What is done, or allowed, this one time",
}
UNBOUNDED = ("a text", "names with commas between them")


def main(words: list[str]) -> int:
    """Print all parameters by part, in capitals as `make` takes them."""
    for part, heading in HEADINGS.items():
        print(f"\n{heading}")
        for name, field in Settings.model_fields.items():
            if part_of(field) == part:
                default = f"all {len(field.default)}" if isinstance(field.default, tuple) else field.default
                bounds = "" if allowed(field) in UNBOUNDED else f" ({allowed(field)})"
                print(f"  {name.upper()}={default}")
                print(f"      {field.description}{bounds}")
    return 0
