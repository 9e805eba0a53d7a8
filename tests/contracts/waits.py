"""What bodies with threads share. How long a thing takes is counted in steps, and a step is as long as the arm says."""

import threading
from collections.abc import Callable
from typing import Any

from tests.contracts.arms import Arm


def what(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a call gives, or the name of what it raises."""
    try:
        return call(*args, **options)
    except Exception as error:
        return type(error).__name__


def together(*works: Callable[[], object]) -> None:
    """Run each on a thread of its own, and wait for all."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class raises:
    """Note the name of the exception that the block raises."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(self, kind: Any, *rest: object) -> bool:
        self._arm.see(kind and kind.__name__)
        return True
