"""In-memory ports for tests, shipped: the service's semantics without the service."""
