"""The files of a sealed thread: descriptors, file objects, paths of sockets, polling."""

