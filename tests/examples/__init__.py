"""A realistic asyncio program that knows nothing of solipsism_unittest, and the suite that tests it."""
