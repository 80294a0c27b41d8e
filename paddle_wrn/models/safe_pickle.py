"""Reading pickles from anybody without running anybody's code.

A pickle is a program: it may call whatever it can name. Here it can name what arrays are made of, no more.
"""

import collections
import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np

from paddle_wrn.errors import UserError


def load_arrays_pickle(file: IO[bytes], path: Path | str) -> Any:
    """Read a pickle made of dictionaries, lists, texts, numbers and NumPy arrays; refuse all else.

    Python 2's byte strings become texts.

    Args:
        file: open for reading.
        path: what errors call it.

    Raises:
        UserError: the pickle is damaged, or wants something that could run code.
    """
    try:
        return _ArraysOnly(file, encoding="latin1").load()
    except UserError as error:
        raise UserError(f"{path}: refused: {error}; only arrays, texts and numbers are admitted") from None
    except Exception as error:  # a broken pickle fails in any way
        raise UserError(f"{path}: the file is damaged or no pickle ({error}); use another copy") from None


class _ArraysOnly(pickle.Unpickler):
    ADMITTED = frozenset(
        {
            ("collections", "OrderedDict"),
            ("builtins", "tuple"),
            ("_codecs", "encode"),  # bytes of arrays in old protocols
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ADMITTED:
            raise UserError(f"it asks for {module}.{name}, which could run code")
        if name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]
        return {"OrderedDict": collections.OrderedDict, "encode": _latin1, "tuple": tuple}.get(
            name
        ) or getattr(np, name)


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")
