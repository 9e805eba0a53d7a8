"""Other people's modules: names that they bound before, and C libraries that no stand-in reaches."""

