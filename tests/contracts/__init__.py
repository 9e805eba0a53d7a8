"""The same scenarios on two arms: the real loopback under the stock loop, and the virtual loop."""
