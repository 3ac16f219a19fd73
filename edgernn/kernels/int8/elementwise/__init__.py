"""Integer functions of one value, arithmetic of two, and conversions from and to float."""
