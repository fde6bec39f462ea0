"""A step of a scan as equations: what is in the loop, and what need not be."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend import core

_MATRIX_PRODUCT = (((1,), (0,)), ((), ()))


@dataclass(frozen=True)
class Equation:
    """An equation of a jaxpr, with names that hold in the whole program.

    Attributes:
        source: The equation of JAX.
        jaxpr: One that holds nothing else.
        inputs: Names, or `Literal`s.
        outputs: Names.
    """

    source: Any
    jaxpr: Any
    inputs: list
    outputs: list

    def __call__(self, values: dict) -> None:
        """Adds what the equation computes to the values by name."""
        # A function may have been called with a literal: the equation has a
        # variable in its place.
        read = [
            value
            for value, variable in zip(
                self.read(values), self.source.invars, strict=True
            )
            if not isinstance(variable, core.Literal)
        ]
        found = jax.core.eval_jaxpr(self.jaxpr, (), *read)
        values.update(zip(self.outputs, found, strict=True))

    def read(self, values: dict) -> list:
        """The values of the inputs."""
        return [
            name.val if isinstance(name, core.Literal) else values[name]
            for name in self.inputs
        ]

    @property
    def is_matrix_product(self) -> bool:
        """Whether it multiplies `(rows, inputs)` by `(inputs, outputs)`."""
        if self.source.primitive.name != "dot_general":
            return False
        left, right = (variable.aval for variable in self.source.invars)
        numbers = self.source.params["dimension_numbers"]
        contracted = tuple(tuple(map(tuple, pair)) for pair in numbers)
        return (
            left.ndim == right.ndim == 2
            and contracted == _MATRIX_PRODUCT
            and left.dtype == right.dtype == self.source.outvars[0].aval.dtype
        )


@dataclass(frozen=True)
class Product:
    """A product of rows with a matrix that is the same in each step.

    Attributes:
        place: Its position among the equations of the loop.
        matrix: Name of the matrix.
        shape: `(rows, outputs)`.
        dtype: Of all three.
    """

    place: int
    matrix: int
    shape: tuple
    dtype: Any


@dataclass(frozen=True)
class Program:
    """A function of nested arguments, taken apart.

    Attributes:
        consts: What it closes over, by name.
        before: Equations that read nothing else: no step needs repeat them.
        inside: The other equations.
        products: Of `inside`, those whose matrix nothing else reads.
        shared: Names of what else `inside` reads of all steps.
        arguments: Names of the leaves of the arguments.
        results: Names, or `Literal`s, of the leaves of what is returned.
        structure: Of what is returned.
    """

    consts: dict
    before: list
    inside: list
    products: list
    shared: list
    arguments: list
    results: list
    structure: Any

    def fixed(self) -> dict:
        """What all steps share, by name: constants, and what follows."""
        values = dict(self.consts)
        for equation in self.before:
            equation(values)
        return values

    def run(
        self,
        values: dict,
        arguments: list,
        product: Callable[[int, Any, Any], Any] | None = None,
    ) -> Any:
        """What the function returns.

        Args:
            values: What all steps share, by name; not changed.
            arguments: Leaves of the arguments.
            product: Called for each of `products` with its number, the rows
                and the matrix. Default: the equation itself.
        """
        values = {**values, **dict(zip(self.arguments, arguments, strict=True))}
        numbers = {p.place: number for number, p in enumerate(self.products)}
        for place, equation in enumerate(self.inside):
            if product is None or place not in numbers:
                equation(values)
                continue
            found = product(numbers[place], *equation.read(values))
            values[equation.outputs[0]] = found
        leaves = [
            name.val if isinstance(name, core.Literal) else values[name]
            for name in self.results
        ]
        return jax.tree.unflatten(self.structure, leaves)


def take_apart(function: Callable[..., Any], *arguments: Any) -> Program:
    """The program of a function at arguments of these shapes.

    Args:
        function: Of nested arrays.
        *arguments: Nested `jax.ShapeDtypeStruct`s or arrays.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    jaxpr, names = closed.jaxpr, itertools.count()
    known = {v: next(names) for v in (*jaxpr.constvars, *jaxpr.invars)}
    consts = [known[variable] for variable in jaxpr.constvars]
    before, inside, fixed = [], [], set(consts)
    for equation in _equations(jaxpr, known, names):
        if fixed.issuperset(_named(equation.inputs)):
            before.append(equation)
            fixed.update(equation.outputs)
        else:
            inside.append(equation)
    results = [_name(variable, known) for variable in jaxpr.outvars]
    products = _products(inside, results, fixed)
    read = dict.fromkeys(_named(results))
    for equation in inside:
        read |= dict.fromkeys(_named(equation.inputs))
    matrices = {product.matrix for product in products}
    return Program(
        consts=dict(zip(consts, closed.consts, strict=True)),
        before=before,
        inside=inside,
        products=products,
        shared=[n for n in read if n in fixed and n not in matrices],
        arguments=[known[variable] for variable in jaxpr.invars],
        results=results,
        structure=jax.tree.structure(shape),
    )


def _products(inside: list, results: list, fixed: set) -> list:
    found, others = [], set(_named(results))
    for place, equation in enumerate(inside):
        names = _named(equation.inputs)
        if equation.is_matrix_product and names[-1] in fixed:
            out = equation.source.outvars[0].aval
            found.append(Product(place, names[-1], out.shape, out.dtype))
        else:
            others.update(names)
    return [product for product in found if product.matrix not in others]


def _equations(jaxpr: Any, known: dict, names: Any) -> Iterator[Equation]:
    """The equations, those of compiled functions among them; adds names."""
    for source in jaxpr.eqns:
        inputs = [_name(v, known) for v in source.invars]
        if source.primitive.name in ("jit", "pjit"):
            closed = source.params["jaxpr"]
            called = closed.jaxpr
            scope = dict(zip(called.invars, inputs, strict=True))
            for variable, value in zip(
                called.constvars, closed.consts, strict=True
            ):
                scope[variable] = core.Literal(value, variable.aval)
            yield from _equations(called, scope, names)
            for ours, theirs in zip(
                source.outvars, called.outvars, strict=True
            ):
                known[ours] = _name(theirs, scope)
            continue
        outputs = [next(names) for _ in source.outvars]
        known.update(zip(source.outvars, outputs, strict=True))
        yield Equation(source, _alone(source, jaxpr), inputs, outputs)


def _alone(source: Any, jaxpr: Any) -> Any:
    """A jaxpr of one equation, each place in which has a variable."""
    variables = [v for v in source.invars if not isinstance(v, core.Literal)]
    fresh = [core.Var(v.aval) for v in variables]
    given = iter(fresh)
    return jaxpr.replace(
        constvars=(),
        invars=fresh,
        outvars=list(source.outvars),
        eqns=[
            source.replace(
                invars=[
                    v if isinstance(v, core.Literal) else next(given)
                    for v in source.invars
                ]
            )
        ],
    )


def _name(variable: Any, known: dict) -> Any:
    return variable if isinstance(variable, core.Literal) else known[variable]


def _named(inputs: list) -> list:
    return [name for name in inputs if not isinstance(name, core.Literal)]
