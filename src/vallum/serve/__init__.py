"""Serving: settings, TLS, the process that serves, its log, its health and its metrics."""
