"""Sealed traces as Parquet files. Only ingest and the query process import this: pyarrow is large."""
