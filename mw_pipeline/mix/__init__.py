"""The source mix: what is declared, what the sampler really draws, and what is wrong between the two."""
