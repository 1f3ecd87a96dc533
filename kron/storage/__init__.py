"""Where records live: one append-only log, in memory or in a data directory."""
