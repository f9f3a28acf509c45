"""The only place where parts meet: settings, composition of the planes, and the process tree.

Nothing else may import an adapter or know which process runs what. No decision about traffic is made here.
"""
