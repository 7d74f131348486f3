"""Measurements of ours on the papers' numerics: no paper, only figures from committed numbers."""
