"""The stages of the hot lane, one verb each. They do not know each other; `gateway.stack` puts them in order.

A stage decides with a plain function and waits only in its shell. What it needs comes in when it is built.
"""
