"""What is wanted: configuration, keys, roles, secrets, audit, and the plan compiled from them.

Control publishes plans as files; it never sits on the path of an inference request and never reads a trace.
"""
