"""Stage 1: what may be looked at at all."""
