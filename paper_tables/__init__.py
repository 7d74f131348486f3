"""What the papers say, as data: a folder each, with protocol.toml, tables.toml, ledger.toml and published.csv.

`families` holds what the protocols of several papers share.
"""
