"""Strips: what elementwise loops are run over.

LLVM vectorises elementwise loops in strips of up to 64 numbers and does what is left over one by one, ten times
slower. So what is left over is copied to a full strip, and samples are padded to full strips.
"""

__all__ = ["STRIP", "STRIP_BYTES"]

STRIP = 64
STRIP_BYTES = 8 * STRIP
