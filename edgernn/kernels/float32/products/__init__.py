"""Float matrix products, with weights in panels."""
