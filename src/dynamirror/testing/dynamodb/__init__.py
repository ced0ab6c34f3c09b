"""The parts of `testing.memory_dynamodb`: values, expressions, one table, and what each operation does to it.

Pure: a request and a table in, an answer or a Refusal out. What the service does is known from its Developer Guide and
API reference, and is compared with DynamoDB Local by tests/contract/test_memory_dynamodb.py.
"""
