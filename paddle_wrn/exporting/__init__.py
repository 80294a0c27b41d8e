"""What an exported folder is made of."""
