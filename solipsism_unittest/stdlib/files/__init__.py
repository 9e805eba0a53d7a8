"""Descriptors, file objects, paths and polling of the virtual machine."""

