"""A campaign: recipes that change one thing each over one base, told apart by how their runs ended."""
