"""The run folder: its files as typed records, and checkpoints."""
