"""Programs in plain NumPy: what every back end is compared with."""
