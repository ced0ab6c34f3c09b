"""A change's way: read, apply, checkpoint."""
