"""The local file system: published snapshots and other files that are written once.

Not here: the shape of their bytes (`wire`), and what they mean.
"""
