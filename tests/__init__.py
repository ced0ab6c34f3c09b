"""The test suite. A regular package, so that `tests.support` is never found in another distribution."""
