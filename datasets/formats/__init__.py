"""Parsers of file formats that several data sets come in; none trusts its file."""
