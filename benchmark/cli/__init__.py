"""The commands: ``python -m benchmark``, or ``reclust``; `main` has the entry."""
