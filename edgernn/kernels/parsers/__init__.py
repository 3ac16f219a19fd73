"""The compiled halves of the formats csv and cobs."""
