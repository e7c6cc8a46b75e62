"""The narrow waist: `ask(call) -> reply`, whatever model is behind it."""
