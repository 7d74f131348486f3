"""Where a record comes from: the digest of the code that made it, and the environment it was made in."""
