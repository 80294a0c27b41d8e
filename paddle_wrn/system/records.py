"""Records: what the files of a run hold, typed and frozen."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from paddle_wrn.errors import UserError

R = TypeVar("R", bound="Record")


class Record(BaseModel):
    """Something that is written as JSON and read back equal; what later versions add is passed over."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, populate_by_name=True)

    def plain(self) -> dict[str, Any]:
        """Return dictionaries, lists, texts and numbers, under the names that the files use."""
        return self.model_dump(mode="json", by_alias=True)

    def line(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(self.plain()) + "\n"

    def text(self) -> str:
        """Return the record as indented JSON."""
        return json.dumps(self.plain(), indent=2, ensure_ascii=False) + "\n"


def read_record(kind: type[R], file: Path, otherwise: str) -> R:
    """Read a JSON file as a record.

    Args:
        kind: of record.
        file: what to read.
        otherwise: what the reader of an error can do, such as "train the run again with --again".

    Raises:
        UserError: the file is missing, or holds something else.
    """
    try:
        return kind.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; {otherwise}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(
            f"{file}: {where} is not what was written there ({first['msg']}); {otherwise}"
        ) from None
