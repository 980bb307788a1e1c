"""Declare the parameters of an estimator once: name, type, default, constraint and documentation.

A parameter is a class attribute made by `parameter`. The decorator `with_parameters` reads these attributes and
generates `__init__`, scikit-learn's `_parameter_constraints` and the section "Parameters" of the class docstring. A
new parameter is therefore one declaration, in the class that all its users inherit from.
"""

import dataclasses
import inspect
import textwrap
from typing import Any, NamedTuple, TypeVar, dataclass_transform

__all__ = ["PLACEHOLDER", "Parameter", "parameter", "with_parameters"]

PLACEHOLDER = "{parameters}"  # in a class docstring: where the documentation of the parameters goes

C = TypeVar("C", bound=type[Any])


class Parameter(NamedTuple):
    """One declaration, see `parameter`."""

    default: Any
    allowed: list[Any] | None
    doc: str | None
    kw_only: bool
    stochastic_only: bool = False
    annotation: Any = Any


def parameter(
    *,
    default: Any,
    allowed: list[Any] | None = None,
    doc: str | None = None,
    kw_only: bool = True,
    stochastic_only: bool = False,
) -> Any:
    """Declare a parameter: ``alpha: float = parameter(default=0.1, allowed=[...], doc="float\\n...")``.

    Parameters
    ----------
    default : object
        Default value. It must be immutable, because all instances share it.
    allowed : list, default=None
        scikit-learn's constraints, at least one of which a value must satisfy. None: the constraints of the
        declaration that this one overrides.
    doc : str, default=None
        The first line is the type, as numpydoc writes it but without the default; the other lines are the
        description. None: the documentation of the declaration that this one overrides.
    kw_only : bool, default=True
        Whether the parameter can be passed by keyword only.
    stochastic_only : bool, default=False
        Whether only mini-batch training uses the parameter. `check_solver_options` refuses every value but the default
        with other solvers.

    Returns
    -------
    Parameter
        Typed as `Any`, so that a type checker accepts it as the value of an attribute of any type.
    """
    return Parameter(default, allowed, None if doc is None else inspect.cleandoc(doc), kw_only, stochastic_only)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(parameter,))
def with_parameters(cls: C) -> C:
    """Class decorator: generate `__init__`, the docstring and tables of constraints and defaults.

    As with `dataclasses`, parameters are taken in the reverse of the method resolution order, and a parameter that
    is declared again keeps its place. The class does not become a dataclass: libraries that know dataclasses take
    their fields for the whole state of an instance (Dask derives keys from them), and a fitted estimator has more.
    """
    table: dict[str, Parameter] = {}
    for base in reversed(cls.__mro__):
        for name, declared in vars(base).get("_declared_parameters", {}).items():
            table[name] = _override(table.get(name), declared)
    own = {name: value for name, value in vars(cls).items() if isinstance(value, Parameter)}
    for name, value in own.items():
        delattr(cls, name)
        own[name] = value._replace(annotation=cls.__annotations__[name])
        table[name] = _override(table.get(name), own[name])
    cls._declared_parameters = own
    cls._parameter_constraints = {name: row.allowed for name, row in table.items()}
    cls._default_values = {name: row.default for name, row in table.items()}
    cls._stochastic_only = {name: row.default for name, row in table.items() if row.stochastic_only}
    cls.__init__ = _make_init(cls, table)
    if cls.__doc__ is not None:  # None under `python -OO`
        cls.__doc__ = inspect.cleandoc(cls.__doc__).replace(PLACEHOLDER, _documentation(table))
    return cls


def _override(inherited: Parameter | None, declared: Parameter) -> Parameter:
    """Return a declaration with what it leaves out taken from the one that it overrides."""
    if inherited is None:
        return declared
    return declared._replace(
        allowed=inherited.allowed if declared.allowed is None else declared.allowed,
        doc=inherited.doc if declared.doc is None else declared.doc,
    )


def _make_init(cls: type[Any], table: dict[str, Parameter]) -> Any:
    """Return an `__init__` with an explicit signature that stores its arguments unchanged."""
    fields = [
        (name, row.annotation, dataclasses.field(default=row.default, kw_only=row.kw_only))
        for name, row in table.items()
    ]
    init: Any = vars(dataclasses.make_dataclass(cls.__name__, fields))["__init__"]
    init.__module__, init.__qualname__ = cls.__module__, f"{cls.__qualname__}.__init__"
    return init


def _documentation(table: dict[str, Parameter]) -> str:
    """Return the section "Parameters" of a numpydoc docstring, without its heading."""
    entries = []
    # In the order of the signature.
    for name, row in sorted(table.items(), key=lambda item: item[1].kw_only):
        kind, _, description = (row.doc or "").partition("\n")
        entries.append(f"{name} : {kind}, default={row.default!r}\n{textwrap.indent(description, '    ')}")
    return "\n".join(entries)
