"""Notebook 03: a run's tables -> rates, figures, and how far the judge can be trusted."""
