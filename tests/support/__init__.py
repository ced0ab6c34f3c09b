"""What several suites and the benchmark share. Nothing in src imports any of it."""
