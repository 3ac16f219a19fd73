"""The operations of int8 programs, a module for each family."""
