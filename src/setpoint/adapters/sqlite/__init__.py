"""Stores in SQLite files: the catalog of traces and the index of each day.

Write-ahead logging, explicit transactions, one writing process per file. No decision about what to store is made here.
"""
