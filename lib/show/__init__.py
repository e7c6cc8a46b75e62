"""What notebooks display. All text from a file or a model is escaped, and nothing is computed here."""

from lib.show.html import warning
from lib.show.pages import entries, figure, files, outcome
from lib.show.samples import samples

__all__ = ["entries", "figure", "files", "outcome", "samples", "warning"]
