"""What lives: services and their supervision, clocks, timers, bounded queues, signals.

The only room that may start a task, read a clock or draw a number; all others are handed what it makes. It knows no product noun.
"""
