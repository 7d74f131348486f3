"""Drawing what was computed: tables as Markdown, LaTeX and CSV. Nothing here trains or reads stored runs."""

from benchmark.render.tables import FORMATS, TableFormat, render_table, render_tables

__all__ = ["FORMATS", "TableFormat", "render_table", "render_tables"]
