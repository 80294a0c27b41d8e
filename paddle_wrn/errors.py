"""The one kind of error that is the user's to mend."""


class UserError(Exception):
    """A mistake in what the user gave.

    The message is one sentence that names the file or setting, what was found there and what would be
    right. Commands print it and exit with code 2; whoever calls the functions from Python catches it.
    """


class ImageError(UserError):
    """A file that cannot be read as a photo."""
