"""asyncio on the machine: the event loop and its selector."""

