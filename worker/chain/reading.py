"""One multicall for many questions: each question knows how to read its own answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.errors import WrongChain
from worker.chain.codec import Call
from worker.chain.multicall import Block, Multicall

Answers = Sequence[bytes | None]
Take = Callable[[Answers], None]


class Reading:
    """Gather questions, then ask them all at one block."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._takes: list[tuple[int, int, Take]] = []

    def ask(self, calls: Sequence[Call], take: Take) -> None:
        """Add a question; `take` gets its calls' answers, None for each that failed, and may raise ValueError."""
        start = len(self._calls)
        self._calls += calls
        self._takes.append((start, len(self._calls), take))

    async def read(self, multicall: Multicall, block: Block) -> None:
        """Ask; raise what Multicall.read raises, and WrongChain when an answer is not what was asked for."""
        answers = await multicall.read(self._calls, block) if self._calls else []
        for start, end, take in self._takes:
            try:
                take(answers[start:end])
            except ValueError as exc:
                raise WrongChain(f"the contracts do not answer as Aave V3 does: {exc}") from exc
