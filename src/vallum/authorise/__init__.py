"""Stage 4: what the caller's roles allow; rules become SQL here, and an evaluator checks them in memory."""
