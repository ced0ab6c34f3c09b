"""Proof and healing: what makes sure that destination and source are the same, item by item."""
