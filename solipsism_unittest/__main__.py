"""`python -m solipsism_unittest` is `python -m unittest`, word for word."""

from unittest import main

if __name__ == "__main__":
    main(module=None)
