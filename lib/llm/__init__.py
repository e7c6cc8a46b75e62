"""The narrow waist: `ask(stage, id, prompt, answer) -> reply`, whatever model is behind it."""
