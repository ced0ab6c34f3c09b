"""What stands between the command and DynamoDB Local, and shows what DynamoDB Local cannot.

`proxy.FaultProxy` (asyncio) or `thread.ProxyThread` (for tests that are not) is the way in: one endpoint for tables
and streams, with verified signatures, injected faults, metered capacity, many shards out of one, and a journal of it
all. `chaos` runs a fleet of real processes through it.
"""
