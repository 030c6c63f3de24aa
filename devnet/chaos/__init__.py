"""Random protocol actions of every kind, one at a time, for tests that compare a mirror with the chain."""

from devnet.chaos.driver import RandomProtocol, Step

__all__ = ["RandomProtocol", "Step"]
