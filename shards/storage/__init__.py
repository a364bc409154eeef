"""Storage: the only module that reads and writes local disks and object stores."""
