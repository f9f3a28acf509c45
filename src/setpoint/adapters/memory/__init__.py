"""Adapters that live in one process and die with it: the first cache tier.

Not here: anything shared between workers, or kept.
"""
