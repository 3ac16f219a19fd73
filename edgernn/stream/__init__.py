"""From bytes to events: sources, formats, signals, decisions, sinks."""
