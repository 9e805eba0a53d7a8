"""The examples of the documentation of four projects, moved in as the page about moving in describes, in our own words.

Names are replaced, fixtures and marks became attributes and methods, and nothing else is changed: what a test shows is
what the example there shows. tests/manual/test_moving.py counts them. The example with aiohttp, which is to be
installed, is in tests/interop/test_aiohttp.py, and those of pytest plug-ins in tests/interop/test_pytest_asyncio.py.
"""
