"""The languages a page can speak."""

from paddle_wrn.errors import UserError

LANGUAGES = ("en", "zh")


def check_language(language: str) -> None:
    """Raise `UserError` unless there is a page in this language."""
    if language not in LANGUAGES:
        raise UserError(f"language: found {language!r}; choose {' or '.join(LANGUAGES)}")
