"""What happens to samples before the model sees them: step by step, with fixed memory."""
