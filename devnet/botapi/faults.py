"""Break on demand: slow answers, server errors, floods, cut and silent connections, garbage."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What goes wrong; `drop` and `hang` happen after the call took effect, the others instead of it or before it."""

    LATENCY = "latency"
    SERVER_ERROR = "server_error"
    FLOOD = "flood"
    DROP = "drop"
    HANG = "hang"
    GARBAGE = "garbage"


@dataclass(slots=True)
class Fault:
    """One rule: what happens, to which methods (all when empty), how often and with which likelihood."""

    kind: FaultKind
    methods: frozenset[str]
    left: int | None
    probability: float
    seconds: float = 0.0
    status: int = 502
    retry_after: int = 1
    hits: int = 0

    def matches(self, method: str) -> bool:
        """Tell whether the rule concerns this method and is not used up."""
        return (self.left is None or self.left > 0) and (not self.methods or method.lower() in self.methods)


class Faults:
    """Hold the rules in the order they were added; the first that fires wins. Its dice are seeded, so runs repeat."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.rules: list[Fault] = []

    def add(
        self,
        kind: FaultKind | str,
        methods: Collection[str] = (),
        count: int | None = None,
        probability: float = 1.0,
        **details: float,
    ) -> Fault:
        """Add a rule and return it (its `hits` tell how often it fired).

        Args:
            kind: a `FaultKind` or its name.
            methods: method names, of any case; none means every method.
            count: fire at most so often; None means without end.
            probability: between 0 and 1, for each call that matches.
            details: `seconds` (latency, hang), `status` (server_error), `retry_after` (flood).

        """
        unknown = set(details) - {"seconds", "status", "retry_after"}
        if unknown:
            raise ValueError(f"unknown detail of a fault: {', '.join(sorted(unknown))}")
        rule = Fault(FaultKind(kind), frozenset(name.lower() for name in methods), count, probability)
        rule.seconds = float(details.get("seconds", 3600.0 if rule.kind is FaultKind.HANG else 0.0))
        rule.status = int(details.get("status", 502))
        rule.retry_after = int(details.get("retry_after", 1))
        self.rules.append(rule)
        return rule

    def pick(self, method: str) -> Fault | None:
        """Return the rule that fires for this call, counting it, or None."""
        for rule in self.rules:
            if rule.matches(method) and self._random.random() < rule.probability:
                rule.hits += 1
                if rule.left is not None:
                    rule.left -= 1
                return rule
        return None

    def clear(self) -> None:
        """Forget every rule."""
        self.rules.clear()
