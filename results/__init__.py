"""The stored results, tracked and shipped with the package: see README.md in this folder."""
