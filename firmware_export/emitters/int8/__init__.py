"""Integer operations in C, a module for each family."""
