"""Adapters of databases and counters behind the ports that the stages see."""
