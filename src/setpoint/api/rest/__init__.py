"""The management REST interface, `/api/v1`: one module per noun, each turning requests into calls and results into JSON."""
