"""Tools which make or check data, run from a checkout; they are not part of the installed package."""
