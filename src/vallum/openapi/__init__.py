"""The OpenAPI document: what a caller may do here, in the words of its own rights."""
