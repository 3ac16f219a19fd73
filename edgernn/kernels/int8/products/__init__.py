"""Integer matrix products, with weights in panels."""
