"""Owns the path of uv, which commands look up in several threads at once."""

from __future__ import annotations

from threading import Lock

import uv

_ONE_AT_A_TIME = Lock()


def uv_program() -> str:
    """Return the path of uv.

    It asks sysconfig, whose first call in one thread makes that of another return None
    (https://github.com/python/cpython/issues/92452).
    """
    with _ONE_AT_A_TIME:
        return uv.find_uv_bin()
