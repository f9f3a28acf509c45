"""The `setpoint` command: parse arguments, call the app or a running gateway, print for a person.

No rule of the product is decided here; whatever a command can do, the management interface can do too.
"""
