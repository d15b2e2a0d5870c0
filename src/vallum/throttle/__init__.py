"""Stage 3: the caller's budget."""
