"""A training from its first batch to its last file: session, loop, optimizer, state, processes."""
