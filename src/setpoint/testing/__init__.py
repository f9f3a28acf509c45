"""Shipped to users: a fake upstream with wire faults, a settable clock, a conversation helper, contracts of the stores.

Tests and demonstrations only; nothing that serves traffic imports it.
"""
