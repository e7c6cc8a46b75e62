"""What `make` calls: `python -m lib.commands NAME words…`. One module a name; each has a function `main(words) -> exit code`."""
