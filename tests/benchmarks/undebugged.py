"""unittest's own asynchronous test case without asyncio's debug mode, which it turns on for every test."""

import asyncio
import unittest


class UndebuggedTestCase(unittest.IsolatedAsyncioTestCase):
    """As IsolatedAsyncioTestCase, and nothing more is checked than in production."""

    def _setupAsyncioRunner(self):
        self._asyncioRunner = asyncio.Runner(debug=False)
