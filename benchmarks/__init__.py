"""Measure what docs/performance.md tells of: real contracts on a local node, the real worker, the real bot."""
