"""Module socket on the virtual machine."""

