"""Small changes to a module's code, each a slip that a person could make.

A mutant replaces one piece of the text: an operator by its opposite, a bound by the one beside it, a number by its
neighbor, a condition by its contrary, two arguments by each other, a statement by none. Messages, annotations,
decorators and documentation stay as they are.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPPOSITE: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.Div(),
    ast.Div: ast.Mult(),
    ast.FloorDiv: ast.Mult(),
    ast.Mod: ast.Mult(),
    ast.Pow: ast.Mult(),
    ast.LShift: ast.RShift(),
    ast.RShift: ast.LShift(),
    ast.BitAnd: ast.BitOr(),
    ast.BitOr: ast.BitAnd(),
    ast.BitXor: ast.BitAnd(),
    ast.MatMult: ast.Mult(),
}
BESIDE: dict[type[ast.cmpop], tuple[ast.cmpop, ...]] = {
    ast.Lt: (ast.LtE(), ast.GtE()),
    ast.LtE: (ast.Lt(), ast.Gt()),
    ast.Gt: (ast.GtE(), ast.LtE()),
    ast.GtE: (ast.Gt(), ast.Lt()),
    ast.Eq: (ast.NotEq(),),
    ast.NotEq: (ast.Eq(),),
    ast.Is: (ast.IsNot(),),
    ast.IsNot: (ast.Is(),),
    ast.In: (ast.NotIn(),),
    ast.NotIn: (ast.In(),),
}
_PAIRS = ("min max", "minimum maximum", "floor ceil", "any all", "left right", "larger smaller", "zeros ones")
OTHER_NAME = {a: b for pair in _PAIRS for a, b in (pair.split(), pair.split()[::-1])}
ORDERLESS = frozenset(("min", "max", "minimum", "maximum", "abs", "zip", "larger", "isinstance", "swapaxes"))
"""Functions of whose arguments the order does not count, or only makes a loud error."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change.

    Args:
        file: The module's path from the repository's root.
        line: Its line, from 1.
        text: That line, stripped.
        kind: What sort of change.
        before: The code that is replaced.
        after: What stands there instead.
        start: Where it begins in the file, in bytes.
        column: Where it begins in its line, in bytes.
    """

    file: str
    line: int
    text: str
    kind: str
    before: str
    after: str
    start: int
    column: int

    @property
    def key(self) -> str:
        """Returns what names it in results."""
        return f"{self.file}|{self.line}|{self.column}|{self.before}|{self.after}"

    def applied(self, source: bytes) -> bytes:
        """Returns the module's text with the change."""
        before = self.before.encode()
        assert source[self.start : self.start + len(before)] == before
        return source[: self.start] + self.after.encode() + source[self.start + len(before) :]


def mutants_of(root: Path, file: str) -> list[Mutant]:
    """Returns every mutant of a module, in the order of its text."""
    source = (root / file).read_bytes()
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found = {}
    for node, kind, after in _changes(ast.parse(source)):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        before = source[start : starts[node.end_lineno - 1] + node.end_col_offset].decode()
        text = lines[node.lineno - 1].decode().strip()
        mutant = Mutant(
            file=file,
            line=node.lineno,
            text=text,
            kind=kind,
            before=before,
            after=after,
            start=start,
            column=node.col_offset,
        )
        if "".join(before.split()) != "".join(after.split()):
            found[mutant.key] = mutant
    return sorted(found.values(), key=lambda mutant: (mutant.start, mutant.kind, mutant.after))


Change = tuple[ast.expr | ast.stmt, str, str]


def _changes(tree: ast.AST) -> Iterator[Change]:
    for node in _mutable(tree):
        if isinstance(node, ast.expr):
            yield from _of_expression(node)
        elif isinstance(node, ast.stmt):
            yield from _of_statement(node)


def _mutable(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the nodes that may change: no messages, annotations, decorators or documentation."""
    yield node
    hidden: list[ast.AST | None] = []
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        hidden += node.decorator_list
    for name in ("annotation", "returns"):
        hidden.append(getattr(node, name, None))
    for child in ast.iter_child_nodes(node):
        is_text = isinstance(child, ast.JoinedStr) or (
            isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        )
        if not is_text and child not in hidden:
            yield from _mutable(child)


def _of_expression(node: ast.expr) -> Iterator[Change]:
    match node:
        case ast.BinOp():
            yield node, "arithmetic", _text(ast.BinOp(node.left, OPPOSITE[type(node.op)], node.right))
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield node, "sign", _text(node.operand)
        case ast.Compare():
            yield from _of_comparison(node)
        case ast.BoolOp():
            yield (
                node,
                "boolean",
                _text(ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)),
            )
        case ast.IfExp():
            yield node, "condition", _text(ast.IfExp(node.test, node.orelse, node.body))
        case ast.Constant():
            yield from _of_constant(node)
        case ast.Call():
            yield from _of_call(node)


def _of_comparison(node: ast.Compare) -> Iterator[Change]:
    for at, op in enumerate(node.ops):
        for number, other in enumerate(BESIDE[type(op)]):
            is_bound = number == 0 and len(BESIDE[type(op)]) > 1
            ops = [*node.ops[:at], other, *node.ops[at + 1 :]]
            yield node, "bound" if is_bound else "comparison", _text(ast.Compare(node.left, ops, node.comparators))


def _of_constant(node: ast.Constant) -> Iterator[Change]:
    if isinstance(node.value, bool):
        yield node, "constant", str(not node.value)
    elif isinstance(node.value, int | float):
        yield node, "constant", f"({node.value + 1!r})"
        if isinstance(node.value, int):
            yield node, "constant", f"({node.value - 1!r})"


def _of_call(node: ast.Call) -> Iterator[Change]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in OTHER_NAME:
        other = OTHER_NAME[name]
        func = ast.Attribute(node.func.value, other) if isinstance(node.func, ast.Attribute) else ast.Name(other)
        yield node, "function", _text(ast.Call(func, node.args, node.keywords))
    is_plain = not any(isinstance(argument, ast.Starred) for argument in node.args[:2])
    if len(node.args) > 1 and is_plain and name not in ORDERLESS:
        first, second, *rest = node.args
        yield node, "arguments", _text(ast.Call(node.func, [second, first, *rest], node.keywords))


def _of_statement(node: ast.stmt) -> Iterator[Change]:
    match node:
        case ast.AugAssign():
            yield node, "arithmetic", _text(ast.AugAssign(node.target, OPPOSITE[type(node.op)], node.value))
            yield node, "removed", "pass"
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]) | ast.Expr(value=ast.Call()):
            yield node, "removed", "pass"
        case ast.Raise() | ast.Break() | ast.Continue():
            yield node, "removed", "pass"
        case ast.Return(value=ast.Tuple(elts=[first, second, *rest])):
            yield node, "returned", f"return {_text(ast.Tuple([second, first, *rest]))}"
        case ast.Return(value=ast.expr() as value) if _text(value) != "None":
            yield node, "returned", "return None"
        case ast.If() | ast.While() if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield node.test, "condition", f"(not {_text(node.test)})"


def _text(node: ast.expr | ast.stmt) -> str:
    text = ast.unparse(ast.fix_missing_locations(node))
    return text if isinstance(node, ast.stmt) else f"({text})"
