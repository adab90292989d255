"""The language model: what it is asked, what it may answer, and how it is reached."""
