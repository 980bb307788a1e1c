"""C structs for kernels: words of 8 bytes behind one pointer, read by name.

Numba reads named tuples too, but as so many separate values: it hands all of them over at every call, and counts
references of each at every assignment: without them the first fit took 9.1 s instead of 10.0.
"""

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, models, register_model

__all__ = ["WORDS", "Struct", "first_word", "nth", "words_of"]

WORD = ir.IntType(64)
WORDS = {bool: types.boolean, int: types.int64, float: types.float64}


class Struct(types.Type):
    """A pointer to words; word i is field i: a boolean, an int64, a float64 or a pointer.

    The last field may be a Struct, whose words follow in place. Two of one name are one type.
    """

    def __init__(self, name: str, fields: dict[str, types.Type]) -> None:
        self.fields = fields
        super().__init__(name=f"fastmlp.{name}")


@register_model(Struct)
class _StructModel(models.PrimitiveModel):
    def __init__(self, manager: Any, struct: Struct) -> None:
        super().__init__(manager, struct, WORD.as_pointer())


@infer_getattr
class _StructFields(AttributeTemplate):
    key = Struct

    def generic_resolve(self, struct, name):
        return struct.fields.get(name)


@lower_getattr_generic(Struct)
def _read_field(context, builder, struct, pointer, name):
    kind = struct.fields[name]
    place = builder.gep(pointer, [WORD(list(struct.fields).index(name))])
    if isinstance(kind, Struct):
        return place
    word = builder.load(place)
    # Nobody writes to a struct while a kernel runs, so what was read once need not be read again.
    word.set_metadata("invariant.load", builder.module.add_metadata([]))
    if kind == types.boolean:
        return builder.icmp_signed("!=", word, WORD(0))
    if kind == types.float64:
        return builder.bitcast(word, ir.DoubleType())
    if kind == types.int64:
        return word
    return builder.inttoptr(word, context.get_value_type(kind))


def first_word(context, builder, sig, args):
    """Emit the pointer to the first element of the array that is the first argument."""
    return context.make_array(sig.args[0])(context, builder, args[0]).data


@intrinsic
def nth(typingctx, struct, i):
    """The struct `i` places behind `struct`, where structs of one type follow each other."""
    sig = struct(struct, types.intp)

    def codegen(context, builder, sig, args):
        return builder.gep(args[0], [builder.mul(args[1], WORD(len(struct.fields)))])

    return sig, codegen


def words_of(fields: NamedTuple) -> npt.NDArray[np.int64]:
    """Return the words that a Struct with the annotations of `fields` (see `WORDS`) reads; read-only."""
    kinds = "".join("d" if kind is float else "q" for kind in type(fields).__annotations__.values())
    return np.frombuffer(struct.pack(kinds, *fields), np.int64)
