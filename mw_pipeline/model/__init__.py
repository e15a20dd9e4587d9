"""The network: encoder, CRF, losses, optimizer, and the checkpoints that hold them."""
