"""The nouns of Setpoint as frozen msgspec structs, and the plain functions that belong to one noun.

Nothing here waits, reads a clock, draws a number, opens a file or knows a provider's wire format.
"""
