"""Files of samples: recordings, tables."""
