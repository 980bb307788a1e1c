"""Numba types of the records and the table of pointers that kernels take.

`Layer`, `Plan`, `Hyper` and `State` in `layout` are NumPy structured records. A kernel receives a pointer to them and
accesses them with `record`. `Memory` contains pointers, which NumPy records cannot contain, so it has its own type.
"""

from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, models, register_model

from ._signatures import SIGNATURES
from .layout import HYPER, LAYER, LINKED, MEMORY, PLAN, STATE

__all__ = ["KernelAddress", "Pointers", "kinds_of", "memory_pointers", "record", "types_of"]

WORD = ir.IntType(64)


class KernelAddress(types.Opaque):
    """The address of a kernel for networks of `number`; `parameters` are the types of its parameters."""

    def __init__(self, kernel: str, number: types.Type) -> None:
        self.kernel, self.number = kernel, number
        super().__init__(name=f"fastmlp.{kernel}({number})")

    @property
    def parameters(self) -> tuple[types.Type, ...]:
        return types_of(self.kernel, self.number)


register_model(KernelAddress)(models.OpaqueModel)


class Pointers(types.Type):
    """A pointer to a vector of addresses. Field i is address i, or all addresses from i on as `Pointers`."""

    def __init__(self, name: str, fields: dict[str, types.Type]) -> None:
        self.fields = fields
        super().__init__(name=f"fastmlp.{name}")


@register_model(Pointers)
class _PointersModel(models.PrimitiveModel):
    def __init__(self, manager: Any, pointers: Pointers) -> None:
        super().__init__(manager, pointers, WORD.as_pointer())


@infer_getattr
class _PointersFields(AttributeTemplate):
    key = Pointers

    def generic_resolve(self, pointers, name):
        return pointers.fields.get(name)


@lower_getattr_generic(Pointers)
def _read_field(context, builder, pointers, value, name):
    kind = pointers.fields[name]
    place = builder.gep(value, [WORD(list(pointers.fields).index(name))])
    if isinstance(kind, Pointers):
        return place
    word = builder.load(place)
    # The vector does not change while a kernel runs, so LLVM need not read an address twice.
    word.set_metadata("invariant.load", builder.module.add_metadata([]))
    return builder.inttoptr(word, context.get_value_type(kind))


def memory_pointers(number: types.Type) -> Pointers:
    """Return the type of `Memory` for networks of `number`: its arrays, then the kernels in `layout.LINKED`."""
    arrays = {name: types.CPointer(getattr(types, kind) if kind else number) for name, kind in MEMORY.items()}
    linked = Pointers(f"Linked({number})", {name: KernelAddress(name, number) for name in LINKED})
    return Pointers(f"Memory({number})", {**arrays, "linked": linked})


def kinds_of(number: types.Type) -> dict[str, types.Type]:
    """Return the type of each kind of parameter, see `_signatures.Parameter`."""
    records = {"layers*": LAYER, "plan*": PLAN, "hyper*": HYPER, "state*": STATE}
    return {
        "int": types.int64,
        "float": types.float64,
        "number*": types.CPointer(number),
        "int*": types.CPointer(types.int64),
        "float*": types.CPointer(types.float64),
        "int32*": types.CPointer(types.int32),
        "uint32*": types.CPointer(types.uint32),
        "memory*": memory_pointers(number),
        **{kind: types.CPointer(from_dtype(dtype)) for kind, dtype in records.items()},
    }


def types_of(kernel: str, number: types.Type) -> tuple[types.Type, ...]:
    """Return the types of the parameters of `kernel` for networks of `number`."""
    kinds = kinds_of(number)
    return tuple(kinds[kind] for _, kind in SIGNATURES[kernel])


@intrinsic
def record(typingctx, pointer, i):
    """Return the record `pointer[i]`, whose fields can be read and written."""
    if not (isinstance(pointer, types.CPointer) and isinstance(pointer.dtype, types.Record)):
        return None
    sig = pointer.dtype(pointer, types.intp)

    def codegen(context, builder, sig, args):
        return builder.bitcast(builder.gep(args[0], [args[1]]), context.get_value_type(sig.return_type))

    return sig, codegen
