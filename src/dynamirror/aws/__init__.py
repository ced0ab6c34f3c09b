"""The only place that knows HTTP, SigV4, JSON names and service limits."""
