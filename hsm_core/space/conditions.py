"""A small language of conditions: Python's expressions over parameter names, parsed by `ast`, never evaluated as code.

    batch_size * accumulate <= 256 and (model.name != "tiny" or dropout == 0)

An expression is turned once into nested functions, one for each operator, from a short list of node types; anything
else (calls, attributes of values, comprehensions) is refused when it is read. A name stands for the parameter's value,
dots and all; `params["weight-decay"]` reaches names that are no identifiers; `true` and `none` may be written small.
"""

from __future__ import annotations

import ast
import operator
import warnings
from typing import Any, Callable, Collection, FrozenSet, List, Mapping, NamedTuple, Optional, Set, Type

from ..yamlfile.check import shown, suggest

__all__ = ["ConditionError", "Predicate", "equals", "parse"]

MAX_LENGTH = 2000
MAX_DEPTH = 50
MAX_POWER_BITS = 4096

Params = Mapping[str, Any]
_Function = Callable[[Params], Any]
_WORDS = {"true": True, "false": False, "none": None, "null": None}
_COMPARE: Mapping[Type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
    ast.Is: operator.eq,
    ast.IsNot: operator.ne,
}


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > MAX_POWER_BITS:
        raise OverflowError("too large a power")
    return base**exponent


_ARITHMETIC: Mapping[Type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}


class ConditionError(ValueError):
    """A condition that cannot be read, or cannot be decided for some combination."""

    def __init__(self, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Predicate(NamedTuple):
    """A condition that was read.

    :param names: the parameters it mentions.
    :param holds: whether it holds for a combination, of which only these parameters need be there; a parameter that is
        not there counts as None. Raises ConditionError where it cannot be decided.
    """

    names: FrozenSet[str]
    holds: Callable[[Params], bool]


def equals(expected: Params) -> Predicate:
    """The condition that each of these parameters has exactly this value."""
    items = tuple(expected.items())
    return Predicate(frozenset(expected), lambda params: all(params.get(name) == value for name, value in items))


def parse(text: str, known: Collection[str]) -> Predicate:
    """Read an expression over the parameters `known`.

    :raises ConditionError: for anything but an expression of this language; the message says at which character.
    """
    # Checked first, for Python's own parser may exhaust the stack, or write to stderr, on what is deeper.
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"a condition of {len(text)} characters; {MAX_LENGTH} is the most", "split it in two")
    if sum(text.count(bracket) for bracket in "([{") > MAX_DEPTH:
        raise ConditionError(f"a condition with more than {MAX_DEPTH} brackets", "split it in two")
    source = " ".join(text.splitlines()).strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd backslash is the text's own business
            tree = ast.parse(source, mode="eval")
    except SyntaxError as error:
        place = f" at character {error.offset}" if error.offset else ""
        raise ConditionError(f"the condition {_short(source)} is not an expression{place}", _hint(source)) from None
    except (ValueError, MemoryError, RecursionError):
        raise ConditionError(f"the condition {_short(source)} is not an expression") from None
    compiler = _Compiler(source, known)
    function = compiler.truth(tree.body, 0)
    if not compiler.names:
        raise ConditionError(f"the condition {_short(source)} mentions no parameter")
    return Predicate(frozenset(compiler.names), function)


class _Compiler:
    """Turns nodes into functions, and notes which parameters they mention."""

    def __init__(self, source: str, known: Collection[str]) -> None:
        self.source = source
        self.known = known
        self.names: Set[str] = set()

    def truth(self, node: ast.expr, depth: int) -> Callable[[Params], bool]:
        """A function whose value is true or false, for certain."""
        function = self.function(node, depth)
        if isinstance(node, (ast.Compare, ast.BoolOp)):
            return function  # as their functions are; a faster path for what most conditions are made of

        def check(params: Params) -> bool:
            value = function(params)
            if value is True or value is False:
                return value
            problem = f"{self.quote(node)} is {shown(value)} here, not true or false"
            raise ConditionError(problem, "compare it with something")

        return check

    def function(self, node: ast.expr, depth: int) -> _Function:
        """The value of any expression."""
        depth += 1
        if depth > MAX_DEPTH:
            raise ConditionError("a condition nested too deeply", "split it in two")
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, (bool, int, float, str))):
            constant = node.value
            return lambda params: constant
        if isinstance(node, (ast.List, ast.Tuple)):
            items = [self.function(item, depth) for item in node.elts]
            return lambda params: [item(params) for item in items]
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            return self.name(node)
        if isinstance(node, ast.BoolOp):
            return self.connective([self.truth(value, depth) for value in node.values], isinstance(node.op, ast.And))
        if isinstance(node, ast.UnaryOp):
            return self.unary(node, depth)
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            left, right = self.function(node.left, depth), self.function(node.right, depth)
            return self.arithmetic(node, _ARITHMETIC[type(node.op)], left, right)
        if isinstance(node, ast.Compare):
            return self.comparison(node, depth)
        raise ConditionError(
            f"{self.quote(node)} at character {node.col_offset + 1} cannot be in a condition",
            "conditions have names, numbers, text, lists, comparisons, and, or, not, in, + - * / // % **",
        )

    def name(self, node: ast.expr) -> _Function:
        name = self.dotted(node)
        if name not in self.known:
            if name in _WORDS:
                word = _WORDS[name]
                return lambda params: word
            problem = f"there is no parameter {name!r} (character {node.col_offset + 1} of the condition)"
            raise ConditionError(problem, suggest(name, self.known))
        self.names.add(name)
        return lambda params: params.get(name)

    def dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            return f"{self.dotted(node.value)}.{node.attr}"
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "params":
            # Python 3.8 has one more node between the subscript and its constant.
            keys = [part.value for part in ast.walk(node.slice) if isinstance(part, ast.Constant)]
            if len(keys) == 1 and isinstance(keys[0], str):
                return keys[0]
        raise ConditionError(f"{self.quote(node)} at character {node.col_offset + 1} is not the name of a parameter")

    def connective(self, parts: List[Callable[[Params], bool]], every: bool) -> _Function:
        if len(parts) == 2:
            first, second = parts
            if every:
                return lambda params: first(params) and second(params)
            return lambda params: first(params) or second(params)
        if every:
            return lambda params: all(part(params) for part in parts)
        return lambda params: any(part(params) for part in parts)

    def unary(self, node: ast.UnaryOp, depth: int) -> _Function:
        if isinstance(node.op, ast.Not):
            truth = self.truth(node.operand, depth)
            return lambda params: not truth(params)
        zero: _Function = lambda params: 0  # noqa: E731
        operand = self.function(node.operand, depth)
        if isinstance(node.op, ast.USub):
            return self.arithmetic(node, operator.sub, zero, operand)
        if isinstance(node.op, ast.UAdd):
            return self.arithmetic(node, operator.add, zero, operand)
        raise ConditionError(f"{self.quote(node)} at character {node.col_offset + 1} cannot be in a condition")

    def arithmetic(
        self, node: ast.expr, operate: Callable[[Any, Any], Any], left: _Function, right: _Function
    ) -> _Function:
        def compute(params: Params) -> Any:
            one, two = left(params), right(params)
            for value in (one, two):
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise ConditionError(f"{self.quote(node)} cannot be computed: {shown(value)} is not a number")
            try:
                result = operate(one, two)
            except ArithmeticError as error:
                raise ConditionError(f"{self.quote(node)} cannot be computed: {error}") from None
            if isinstance(result, complex):
                raise ConditionError(f"{self.quote(node)} cannot be computed: the result is not a real number")
            return result

        return compute

    def comparison(self, node: ast.Compare, depth: int) -> _Function:
        operands = [self.function(value, depth) for value in (node.left, *node.comparators)]
        links = [
            self.link(node, _COMPARE[type(op)], left, right)
            for op, left, right in zip(node.ops, operands, operands[1:])
        ]
        return links[0] if len(links) == 1 else self.connective(links, every=True)

    def link(
        self, node: ast.expr, compare: Callable[[Any, Any], bool], left: _Function, right: _Function
    ) -> Callable[[Params], bool]:
        def decide(params: Params) -> bool:
            one, two = left(params), right(params)
            try:
                return compare(one, two)
            except TypeError:
                problem = f"{self.quote(node)} cannot be decided: {shown(one)} against {shown(two)}"
                raise ConditionError(problem, "compare numbers with numbers and text with text") from None

        return decide

    def quote(self, node: ast.expr) -> str:
        return _short(ast.get_source_segment(self.source, node) or self.source)


def _hint(source: str) -> Optional[str]:
    if "&&" in source or "||" in source:
        return "write `and` and `or`"
    if "=" in source.replace("==", "").replace("<=", "").replace(">=", "").replace("!=", ""):
        return "write == to compare"
    return 'names that are no identifiers are written params["the-name"]'


def _short(source: str) -> str:
    return f"`{source}`" if len(source) <= 70 else f"`{source[:68]}…`"
