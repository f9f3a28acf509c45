"""What Setpoint asks of the outside world: one Protocol per file, with its guarantees in prose.

No implementation lives here; an adapter fulfils a port, `app` chooses which one.
"""
