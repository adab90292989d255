"""The arena's use cases: turns of the models, what they see, what is executed, and what came of it."""
