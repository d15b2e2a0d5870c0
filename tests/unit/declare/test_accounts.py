"""Attributes of an account that a store can compare with a column."""

from __future__ import annotations

import subprocess
import sys


def test_what_is_neither_text_nor_a_whole_number_is_not_held() -> None:
    """In a process of its own, with a deadline: whether a range of 64 bits holds a fraction, Python asks of each of its
    numbers, and takes no signal meanwhile.
    """
    program = (
        "from vallum.declare.accounts import held\n"
        "beyond = [1.0, 1.5, 1e40, float('nan'), None, [], [1], {}, 2**63, -(2**63) - 1, chr(0)]\n"
        "given = {str(index): value for index, value in enumerate(beyond)}\n"
        "kept = {'a': 2**63 - 1, 'b': -(2**63), 'c': True, 'd': 'text'}\n"
        "assert held({**given, **kept}) == kept\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=30, check=True)
