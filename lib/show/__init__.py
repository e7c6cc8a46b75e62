"""What notebooks display. All text from a file or a model is escaped, and nothing is computed here."""

from lib.show.html import table, warning
from lib.show.pages import entries, figure, files, markdown, outcome, prompt
from lib.show.samples import samples, trial

__all__ = ["entries", "figure", "files", "markdown", "outcome", "prompt", "samples", "table", "trial", "warning"]
