"""What the operator may set: one table of flags, and the frozen groups they become."""
