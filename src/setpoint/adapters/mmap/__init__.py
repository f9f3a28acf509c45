"""What the workers of one machine share without a server: memory-mapped files under `run/`, guarded by kernel locks.

Not here: anything that must outlive a restart of the whole tree. `run/` is wiped at every start.
"""
