"""Many workers on one task: leases, heartbeats, shards, and the coordinator that starts what it holds."""
