"""Assets by subject; each is one use case of ``agentwhere_flow``, loaded only when it runs."""
