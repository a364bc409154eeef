"""Bytes at rest: the one door to local disks and object stores."""
