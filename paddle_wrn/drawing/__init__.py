"""Numbers and photos -> figures; nothing here knows a network."""
