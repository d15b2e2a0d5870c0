"""Stage 2: who calls."""
