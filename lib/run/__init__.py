"""A run: its folder, its files, and its manifest."""
