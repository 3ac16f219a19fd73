"""Integer operations as instructions, a module for each family."""
