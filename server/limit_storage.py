"""Storage of fixed windows for the library `limits`, in this process.

Its own starts a thread every 10 ms of calls, which costs a busy server many times what the counting does.
"""

import threading
import time

from limits.storage import Storage

SWEEP_EVERY = 1024
"""Windows that begin between two removals of those that have ended."""


class Windows(Storage):
    """key -> how often it was counted, and when its window ends."""

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self.windows: dict[str, tuple[int, float]] = {}
        self.begun = 0
        self.lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What may go wrong: nothing outside this process."""
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count; the first of a window begins it."""
        now = time.time()
        with self.lock:
            count, ends = self.windows.get(key, (0, 0.0))
            if ends <= now:
                count, ends = 0, now + expiry
                self.begun += 1
                if self.begun % SWEEP_EVERY == 0:
                    self.windows = {key: one for key, one in self.windows.items() if one[1] > now}
            self.windows[key] = (count + amount, ends)
        return count + amount

    def get(self, key: str) -> int:
        """How often it was counted in the window that is open."""
        count, ends = self.windows.get(key, (0, 0.0))
        return count if ends > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the window ends; now, where none is open."""
        return max(self.windows.get(key, (0, 0.0))[1], time.time())

    def check(self) -> bool:
        """Whether it can count."""
        return True

    def reset(self) -> int | None:
        """Forget everything; gives how many windows there were."""
        with self.lock:
            forgotten = len(self.windows)
            self.windows.clear()
        return forgotten

    def clear(self, key: str) -> None:
        """Forget one window."""
        with self.lock:
            self.windows.pop(key, None)
