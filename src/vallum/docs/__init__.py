"""Pages: what each refusal means, and who may do what."""
