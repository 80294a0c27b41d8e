"""Features that were computed before, on disk: one SQLite file for each backbone, a row for each photo.

A photo is known by the SHA-256 of its content, so one that has changed is another photo. SQLite writes a
batch as a whole or not at all, and lets two programs use a file at the same time.
"""

import logging
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from paddle_wrn.errors import UserError

_AT_ONCE = 500  # rows; SQLite bounds the number of parameters of a query
_PATIENCE = 30  # seconds to wait for another program that writes
_log = logging.getLogger("paddle_wrn")

Features = NDArray[np.float32]


class FeatureStore:
    """The features of one backbone.

    Attributes:
        file: where they are.
    """

    def __init__(self, key: str, folder: Path | None = None) -> None:
        """Open a store, or make it.

        Args:
            key: fingerprint of weights and preprocessing.
            folder: of the stores; by default in the user's cache folder.
        """
        folder = folder or user_cache_path("paddle_wrn", appauthor=False) / "features"
        self.file = folder / f"{key}.sqlite"

    def read(self, photos: Sequence[str], width: int) -> dict[str, Features]:
        """Return the features of those photos that are known. Shape: each (width,).

        A damaged file is removed, with a word: what it held is computed again.

        Args:
            photos: their fingerprints.
            width: number of features.
        """
        if not self.file.is_file():
            return {}
        try:
            return self._read(photos, width)
        except sqlite3.DatabaseError as error:
            _log.info("features  %s is damaged (%s); they are computed again", self.file, error)
            self.file.unlink(missing_ok=True)
            return {}

    def _read(self, photos: Sequence[str], width: int) -> dict[str, Features]:
        found: dict[str, Features] = {}
        with closing(self._connect()) as database:
            for start in range(0, len(photos), _AT_ONCE):
                part = photos[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(part))
                rows = database.execute(
                    f"SELECT photo, sum, vector FROM features WHERE photo IN ({marks})", part
                )
                for photo, checksum, vector in rows:
                    if len(vector) != 4 * width or zlib.crc32(vector) != checksum:
                        raise sqlite3.DatabaseError("a checksum does not match")
                    found[photo] = np.frombuffer(vector, "<f4").astype(np.float32)
        return found

    def write(self, features: Mapping[str, Features]) -> None:
        """Add the features of some photos.

        Raises:
            UserError: there is no room for them.
        """
        rows: Iterable[tuple[str, int, bytes]] = (
            (photo, zlib.crc32(vector), vector)
            for photo, vector in ((photo, row.astype("<f4").tobytes()) for photo, row in features.items())
        )
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as database, database:
                database.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", rows)
        except (OSError, sqlite3.OperationalError) as error:
            raise UserError(
                f"{self.file}: features cannot be kept there ({error}); free some space, or choose another "
                "folder with the environment variable XDG_CACHE_HOME"
            ) from None

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.file, timeout=_PATIENCE)
        database.execute(
            "CREATE TABLE IF NOT EXISTS features (photo TEXT PRIMARY KEY, sum INTEGER, vector BLOB)"
        )
        return database
