"""What the loops of all rooms share: waking each other, bearing with credentials, rates, not flooding the log."""
