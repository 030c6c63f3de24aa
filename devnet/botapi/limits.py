"""Count messages as Telegram's flood control does, and say when to come back."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass

from devnet.botapi.errors import too_many_requests


@dataclass(frozen=True, slots=True)
class FloodOptions:
    """The limits that Telegram documents (core.telegram.org/bots/faq) and the bursts that it is seen to tolerate."""

    private_per_second: float = 1.0
    private_burst: int = 5
    group_per_minute: int = 20
    overall_per_second: int = 30


class FloodControl:
    """Admit or refuse one message or edit at a time; a refused one costs nothing."""

    def __init__(self, options: FloodOptions, enabled: bool = True) -> None:
        self.options = options
        self.enabled = enabled
        self._private: dict[int, tuple[float, float]] = {}
        self._groups: dict[int, deque[float]] = {}
        self._overall: deque[float] = deque()

    def admit(self, chat_id: int, is_group: bool) -> None:
        """Count one message to the chat; raise 429 with whole seconds to wait when it is one too many."""
        if not self.enabled:
            return
        moment = time.monotonic()
        window = self._groups.setdefault(chat_id, deque()) if is_group else None
        wait = _window_wait(self._overall, moment, 1.0, self.options.overall_per_second)
        if window is not None:
            wait = max(wait, _window_wait(window, moment, 60.0, self.options.group_per_minute))
        else:
            wait = max(wait, self._bucket_wait(chat_id, moment))
        if wait > 0:
            raise too_many_requests(max(1, math.ceil(wait)))
        self._overall.append(moment)
        if window is not None:
            window.append(moment)
        else:
            self._private[chat_id] = (self._tokens(chat_id, moment) - 1.0, moment)

    def _tokens(self, chat_id: int, moment: float) -> float:
        burst = float(self.options.private_burst)
        tokens, since = self._private.get(chat_id, (burst, moment))
        return min(burst, tokens + (moment - since) * self.options.private_per_second)

    def _bucket_wait(self, chat_id: int, moment: float) -> float:
        missing = 1.0 - self._tokens(chat_id, moment)
        return missing / self.options.private_per_second if missing > 0 else 0.0


def _window_wait(window: deque[float], moment: float, seconds: float, most: int) -> float:
    while window and window[0] <= moment - seconds:
        window.popleft()
    return window[0] + seconds - moment if len(window) >= most else 0.0
