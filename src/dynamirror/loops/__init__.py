"""What the loops of all rooms share: waking each other, bearing with credentials, not flooding the log."""
