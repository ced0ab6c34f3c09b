"""In-memory ports with the services' semantics, a DynamoDB in memory, faults, and a loop that runs on virtual time.

Shipped, so that users can test what they build on dynamirror without AWS. Nothing here opens a connection or
waits in real time; with `run_virtual` a day of replication takes as long as its computations.
"""
