"""Many runs of one test: each under another loop, or another executor."""
