"""The command line: one short function for each command, a skin over the library. Nothing else prints or exits."""
