"""Stage 6: one statement that carries the rule, or one transaction."""
