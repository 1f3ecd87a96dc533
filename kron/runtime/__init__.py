"""Where time passes: the engine, its host, the clocks and the executors."""
