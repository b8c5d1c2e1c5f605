"""The demo (`make demo`): the whole pipeline on the embedded emulator, from generated files to answered queries."""
