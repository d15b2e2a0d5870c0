"""What every write leaves behind, in its own transaction."""
