"""The work behind the notebooks: seeds -> plan -> generate -> judge -> filter -> analyse -> export and validate."""
