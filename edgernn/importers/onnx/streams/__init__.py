"""Streams of frames: what is known of a tensor, when its frames come, and the step program under construction."""
