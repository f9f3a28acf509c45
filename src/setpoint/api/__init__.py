"""The HTTP faces of the engine, thin: parse, call a plane, render, and one rescue for faults.

No rule of the product is decided here, and no inference request passes here.
"""
