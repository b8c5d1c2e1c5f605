"""The state of a pipeline at a glance, from the index of open work and the queues' own numbers: never a scan."""
