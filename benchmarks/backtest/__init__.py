"""The verdict against the truth: runs whose end is known, and what each gate would have said before they were made."""
