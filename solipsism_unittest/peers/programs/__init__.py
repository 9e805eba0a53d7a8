"""Programs of a test: what asyncio's subprocesses, and module subprocess, run in place of real ones."""
