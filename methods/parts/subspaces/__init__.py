"""What subspace methods share: self-expression, affinities, and clusters of both."""
