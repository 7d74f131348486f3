"""Tests of the code digest and the environment."""
