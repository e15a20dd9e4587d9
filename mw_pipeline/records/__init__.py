"""What adapters hand over: the tables of records and rows, an adapter's interface, and kernels over columns of text."""
