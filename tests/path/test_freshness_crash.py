"""kill -9 under load over TLS: of what was accepted before, nothing is accepted again."""
