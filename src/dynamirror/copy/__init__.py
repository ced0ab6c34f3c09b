"""Copying a table while its changes are applied."""
