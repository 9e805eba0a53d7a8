"""Tests of the shape of the project itself: its folders, imports, sizes and style."""
