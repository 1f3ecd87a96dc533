"""The pure core: it decides and never does I/O."""
