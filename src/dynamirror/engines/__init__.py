"""Who drives: each engine has one assemble file, the only ones that join the sides."""
