"""The one kind of error that is the user's to mend."""


class UserError(Exception):
    """A mistake in what the user gave.

    The message is one sentence that names the file or setting, what was found there and what would be
    right. Commands print it and exit with code 2; whoever calls the functions from Python catches it.
    """


class ImageError(UserError):
    """A file that cannot be read as a photo."""


def shown(value: object, most: int = 60) -> str:
    """Return a text (or number) from a file as a sentence quotes it: in one line and short."""
    if not isinstance(value, str | int | float):
        return f"a {type(value).__name__}"
    text = str(value)[: most + 1]
    if not text.isprintable():
        text = ascii(text)[1:-1]
    return text if len(text) <= most else f"{text[:most]}..."
