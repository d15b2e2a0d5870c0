"""Stage 5: query, preconditions and body."""
