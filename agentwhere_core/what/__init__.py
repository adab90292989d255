"""Agent What: from classified posts to sized signals."""
