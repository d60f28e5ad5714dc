"""The C allocator's pool: keep what training frees, because it asks for the same again in the next step."""

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt (malloc.h)."""

LARGEST_POOLED = 32 * 1024 * 1024
"""Bytes up to which a block comes from the pool; glibc takes no more."""

KEPT = 1024 * 1024 * 1024
"""Free bytes at the end of the heap that are kept before any goes back to the system."""


@cache
def keep_freed_memory() -> bool:
    """Tell glibc not to give freed tensors back to the system; False where the C library is another one.

    By default it maps every block of some MB afresh, or trims the heap at each step, depending on the heap's history:
    page faults took about a tenth of a small model's step that way. Changes no number, only speed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_THRESHOLD, LARGEST_POOLED) and mallopt(M_TRIM_THRESHOLD, KEPT))
