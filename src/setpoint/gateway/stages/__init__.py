"""One stage per file: what happens to an exchange between the socket and the upstream.

A stage decides with a plain function and waits only in its shell. Their order is in `gateway.stack`, nowhere else.
"""
