"""Files of weights with random damage: whatever is read, it is arrays or one short sentence.

The damage is drawn from a seed, which the test prints, so that a failure can be repeated.
"""

import pickle
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.random import Generator
from some_arrays import some_arrays
from torch_files import TorchPickler, View, zip_archive

from paddle_wrn.errors import UserError
from paddle_wrn.models.weight_files import read_weights

CASES = 150  # of each kind of file
SECONDS = 5.0  # a file may take, on a busy machine
MEMORY = 30_000_000  # bytes, for files of a few thousand
TENSORS: dict[str, Any] = {
    **some_arrays(),
    "bf16": View(np.arange(6, dtype=np.uint16), 0, (2, 3), (3, 1)),
    "columns": np.ones((3, 2), np.float32).T,
}
INTERESTING = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    *b"\x80.()]}ctjhqrRbQXBCGIKMJNuset012\x81\x82\x85\x86\x87\x88\x8a\x8b\x8c\x8e\x93\x94\x96",
]


def flipped(content: bytes, rng: Generator) -> bytes:
    damaged = bytearray(content)
    for place in rng.integers(len(content), size=rng.integers(1, 5)):
        damaged[place] = (
            rng.choice(INTERESTING) if rng.random() < 0.5 else damaged[place] ^ 1 << rng.integers(8)
        )
    return bytes(damaged)


def cut(content: bytes, rng: Generator) -> bytes:
    return content[: rng.integers(len(content))]


def inserted(content: bytes, rng: Generator) -> bytes:
    place = rng.integers(len(content) + 1)
    more = bytes(rng.choice(INTERESTING, rng.integers(1, 9)).astype(np.uint8))
    return content[:place] + more + content[place:]


def removed(content: bytes, rng: Generator) -> bytes:
    place = rng.integers(len(content))
    return content[:place] + content[place + rng.integers(1, 9) :]


def repeated(content: bytes, rng: Generator) -> bytes:
    begin, end = sorted(rng.integers(len(content) + 1, size=2))
    return content[:end] + content[begin:end] * rng.integers(1, 50) + content[end:]


def moved(content: bytes, rng: Generator) -> bytes:
    begin, end, place = sorted(rng.integers(len(content) + 1, size=3))
    return content[:begin] + content[end:place] + content[begin:end] + content[place:]


DAMAGES = (flipped, flipped, flipped, cut, inserted, removed, repeated, moved)


def damaged(content: bytes, rng: Generator) -> bytes:
    for damage in rng.choice(np.array(DAMAGES), rng.integers(1, 3)):
        content = damage(content, rng) or b"."
    return content


OLD, ZIP = TorchPickler(old=True), TorchPickler(old=False)
OLD_CONTENT, ZIP_CONTENT = OLD.dumps(TENSORS), ZIP.dumps(TENSORS)


def old_format(content: bytes) -> bytes:
    """Return a file in PyTorch's old format around the pickle of its content."""
    begin = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    storages = [struct.pack("<q", array.size) + array.tobytes() for array in OLD.storages.values()]
    return begin + content + pickle.dumps(list(OLD.storages), 2) + b"".join(storages)


def zip_format(content: bytes) -> bytes:
    """Return a file in PyTorch's zip format around the pickle of its content, all checksums right."""
    storages = {f"w/data/{key}": array.tobytes() for key, array in ZIP.storages.items()}
    return zip_archive({"w/data.pkl": content, "w/byteorder": b"little", **storages})


def pdparams(protocol: int) -> bytes:
    return pickle.dumps({**some_arrays(), "one": ("name", np.ones(2)), "flags": np.array([True])}, protocol)


SAFETENSORS = safetensors.numpy.save(some_arrays(), {"note": "text"})
KINDS: dict[str, tuple[str, Callable[[Generator], bytes]]] = {
    "protocol 0": ("pdparams", lambda rng: damaged(pdparams(0), rng)),
    "protocol 2": ("pdparams", lambda rng: damaged(pdparams(2), rng)),
    "protocol 4": ("pdparams", lambda rng: damaged(pdparams(4), rng)),
    "protocol 5": ("pdparams", lambda rng: damaged(pdparams(5), rng)),
    "safetensors": ("safetensors", lambda rng: damaged(SAFETENSORS, rng)),
    "old": ("pth", lambda rng: damaged(old_format(OLD_CONTENT), rng)),
    "old content": ("pth", lambda rng: old_format(damaged(OLD_CONTENT, rng))),
    "zip": ("pth", lambda rng: damaged(zip_format(ZIP_CONTENT), rng)),
    "zip content": ("pth", lambda rng: zip_format(damaged(ZIP_CONTENT, rng))),
    "noise": ("pdparams", lambda rng: bytes(rng.choice(INTERESTING, 400).astype(np.uint8))),
}


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("kind", KINDS)
def test_damage_gives_arrays_or_a_sentence(tmp_path: Path, kind: str) -> None:
    suffix, make = KINDS[kind]
    path = tmp_path / f"damaged.{suffix}"
    sentences = 0
    for seed in range(CASES):
        path.write_bytes(make(np.random.default_rng(seed)))
        print(f"seed {seed}")
        tracemalloc.reset_peak()
        before, begin = tracemalloc.get_traced_memory()[0], perf_counter()
        try:
            arrays = read_weights(path)
        except UserError as error:
            sentences += 1
            message = str(error).removeprefix(str(path))
            assert 10 < len(message) < 400
            assert message.isprintable()
        else:
            assert all(isinstance(name, str) for name in arrays)
            assert all(array.dtype.kind in "fiub" for array in arrays.values())
            for array in arrays.values():
                array.sum(dtype=np.float64)  # reads all of it
        assert perf_counter() - begin < SECONDS
        assert tracemalloc.get_traced_memory()[1] - before < MEMORY
    assert sentences > CASES / 4  # so the damage is felt
