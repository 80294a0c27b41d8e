"""Zip archives of which no member is compressed, as PyTorch writes them.

`zipfile` would read them too, but it makes an object of a kilobyte for each entry of the table of contents,
of which a small file can have millions. Format: PKWARE's APPNOTE.TXT, the section is given beside each part.
"""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

from paddle_wrn.errors import UserError, shown

MAX_TABLE = 10_000_000  # bytes of the table of contents; a member takes about 70

SIGNATURE = b"PK"  # of every part
_HEADER_SIGNATURE = b"PK\3\4"  # before a member (4.3.7)
_ENTRY_SIGNATURE = b"PK\1\2"  # of a member in the table of contents (4.3.12)
_END_SIGNATURE = b"PK\5\6"  # (4.3.16)
_HEADER, _ENTRY, _END = Struct("<4s5H3I2H"), Struct("<4s6H3I5H2I"), Struct("<4s4H2IH")
_ENCRYPTED = 0x1  # flag bit


@dataclass(frozen=True)
class _Member:
    place: int  # of its header in the file
    size: int  # bytes
    checksum: int  # CRC-32


class StoredZip:
    """The members of an archive, which all are in one folder.

    Args:
        file: open for reading.
        path: what errors call it.

    Attributes:
        folder: that all members are in.

    Raises:
        UserError: the archive is damaged, or has compressed or encrypted members or several folders.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._members: dict[str, _Member] = {}
        self.folder = ""
        table = self._table()
        place = 0
        while place < len(table):
            place = self._add_member(table, place)
        size = sum(member.size for member in self._members.values())
        if size > file.seek(0, os.SEEK_END):
            raise self._damaged("its members are larger than the file")

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> bytes:
        """Return the content of a member; its name goes without the folder."""
        if name not in self._members:
            raise self._damaged(f"it has no member {shown(name)}")
        member = self._members[name]
        self._file.seek(member.place)
        header = self._file.read(_HEADER.size)
        if len(header) < _HEADER.size or not header.startswith(_HEADER_SIGNATURE):
            raise self._damaged(f"its member {shown(name)} is missing")
        *_, name_size, extra_size = _HEADER.unpack(header)
        self._file.seek(name_size + extra_size, os.SEEK_CUR)
        content = self._file.read(member.size)
        if len(content) != member.size or zlib.crc32(content) != member.checksum:
            raise self._damaged(f"the checksum of its member {shown(name)} does not match")
        return content

    def _table(self) -> bytes:
        """Return the table of contents. PyTorch writes no comment behind the end."""
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(size - _END.size, 0))
        end = self._file.read(_END.size)
        if len(end) < _END.size or not end.startswith(_END_SIGNATURE):
            raise self._damaged("the end of the zip archive is missing")
        *_, table_size, place, _ = _END.unpack(end)
        if table_size > MAX_TABLE or place + table_size > size:
            raise self._damaged(f"a table of contents of {table_size:,} bytes")
        self._file.seek(place)
        return self._file.read(table_size)

    def _add_member(self, table: bytes, place: int) -> int:
        """Add the member whose entry is at this place of the table; return where the next one is."""
        if len(table) - place < _ENTRY.size or table[place : place + 4] != _ENTRY_SIGNATURE:
            raise self._damaged("its table of contents is wrong")
        entry: tuple[Any, ...] = _ENTRY.unpack_from(table, place)
        flags, method, checksum, packed_size, size = (entry[field] for field in (3, 4, 7, 8, 9))
        name_size, extra_size, comment_size = entry[10:13]
        place += _ENTRY.size
        next_place = place + name_size + extra_size + comment_size
        if next_place > len(table):
            raise self._damaged("its table of contents is wrong")
        whole_name = table[place : place + name_size].decode("utf-8", "replace")
        folder, _, name = whole_name.partition("/")
        if not self._members:
            self.folder = folder
        if not name or name in self._members or ".." in whole_name.split("/") or folder != self.folder:
            raise self._refused(whole_name, "is not where PyTorch puts one")
        if method != 0 or packed_size != size or flags & _ENCRYPTED:
            raise self._refused(whole_name, "is compressed or encrypted; let torch.save write it")
        self._members[name] = _Member(entry[16], size, checksum)
        return next_place

    def _refused(self, member: str, what: str) -> UserError:
        return UserError(f"{self._path}: refused: its member {shown(member)} {what}")

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self._path}: the file is damaged or cut short ({what}); use another copy")
