"""Which training rows taught a checkpoint to read an address as it does."""
