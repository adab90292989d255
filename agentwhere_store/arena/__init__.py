"""The arena's rows: ``models``, ``invocations`` with their tool calls, and ``portfolio`` sizes."""
