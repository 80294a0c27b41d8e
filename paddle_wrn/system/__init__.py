"""What every program needs of its machine: a place to compute on, files, signals, a console, a port."""
