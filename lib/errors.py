"""A user's mistake, or the provider's refusal to go on, as one clear line instead of a traceback."""


class KitError(Exception):
    """Says where, what, and what to do next. Everything else that is raised is a bug."""
