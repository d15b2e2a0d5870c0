"""Stage 7: bytes."""
