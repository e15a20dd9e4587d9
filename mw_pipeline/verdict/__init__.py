"""The verdict on a run, from reading its log to the lock that a full run stands behind."""
