"""The hot lane: from a client's bytes to an upstream and back, inside one worker process.

Here are the HTTP/1.1 server and client protocols, the stack of stages an exchange passes, and the writer of records. Not here:
any web framework, any database, any wire format of a provider (those are in `wire`), any decision about configuration.
"""
