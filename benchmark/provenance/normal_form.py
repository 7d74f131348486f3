"""The normal form of a statement: its syntax tree as text, without what cannot change a number."""

from __future__ import annotations

import ast
import copy
from typing import Any

from benchmark.provenance.sources import is_registration


def text(node: ast.AST) -> str:
    """Return the normal form of a statement.

    Comments, docstrings, formatting, imports, the annotations of functions and of their variables, and decorators that
    register something don't count; neither does the version of Python that parsed it. The annotations of a class do:
    they are the fields of data classes and models.
    """
    return _text(_Normaliser().visit(copy.deepcopy(node)))


LEFT_OUT = ("kind", "type_params")
"""Fields of syntax trees that are there in some versions of Python, and say nothing."""


class _Normaliser(ast.NodeTransformer):
    """Strip from a tree what cannot change numbers."""

    _in_function = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        self._in_function += 1
        try:
            return self._body(node)
        finally:
            self._in_function -= 1

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._body(node)

    def _body(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> ast.AST:
        node.decorator_list = [d for d in node.decorator_list if not is_registration(d)]
        kept = [s for s in node.body if not isinstance(s, ast.Import | ast.ImportFrom) and not _is_docstring(s)]
        node.body = kept or [ast.Pass()]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=node.arg, annotation=None)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if not self._in_function:
            return node
        return ast.Assign(targets=[node.target], value=node.value) if node.value else None

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        # Some versions of Python 3.12 end a format with an empty text.
        node.values = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        name = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", "")
        return node.orelse if name == "TYPE_CHECKING" else node


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _text(node: Any) -> str:
    """Return a tree as text, without what is empty: `ast.dump` writes other text in each version of Python."""
    if isinstance(node, ast.AST):
        fields = (
            (name, value) for name, value in ast.iter_fields(node) if name not in LEFT_OUT and value not in (None, [])
        )
        return f"{type(node).__name__}({','.join(f'{name}={_text(value)}' for name, value in sorted(fields))})"
    if isinstance(node, list):
        return f"[{','.join(map(_text, node))}]"
    return repr(node)
