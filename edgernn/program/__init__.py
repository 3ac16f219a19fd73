"""What one time step of a model is: operations, description, checks, file."""
