"""``python -m agentwhere_app`` is the ``agentwhere`` command."""

from agentwhere_app.cli import main

if __name__ == "__main__":
    main()
