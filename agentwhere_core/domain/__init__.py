"""The vocabulary of Agent Where: entities, value types, reason codes and errors."""
