"""Bytes to nouns and back: dialects of providers, server-sent events, and Setpoint's own files.

Everything here is sans-IO: nothing waits, reads a clock, draws a number, opens a file or knows a URL.
"""
