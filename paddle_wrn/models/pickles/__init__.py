"""Reading pickles from anybody without running anybody's code.

A pickle is a program for a small stack machine, and Python's own machine calls whatever the program names.
The one here (`machine`) never looks a name up: it has a function of its own for each name it knows, which
makes plain data of plain data (`arrays` has those of NumPy's arrays), and it refuses all other names.

Everything is bounded: the steps, the texts, the bytes that calls make, and the size and depth of the result.
So it is safe to compare, print or walk through what comes out.
"""

from paddle_wrn.models.pickles.arrays import load_arrays_pickle

__all__ = ["load_arrays_pickle"]
