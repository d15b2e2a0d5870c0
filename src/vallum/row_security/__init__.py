"""Row-level security of PostgreSQL, generated from the rules (docs/rls.md)."""
