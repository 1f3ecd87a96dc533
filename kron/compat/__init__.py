"""The interfaces of other schedulers, thin over `kron.Scheduler`."""
