"""Copies a DynamoDB table, keeps the copy in step through its stream, and proves that the two are equal."""

__version__ = "0.1.0"
