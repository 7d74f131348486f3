"""Tests of methods and of the parts they are made of."""
