"""From source records to aligned rows: compose, augment, align, split, check and count."""
