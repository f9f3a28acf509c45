"""From records to answers: ingest, segments, roll-ups, trace queries, costs, metrics folded from records.

Runs in the ingest and query processes, never in a gateway worker. It reads what workers left in their spools and tells them nothing.
"""
