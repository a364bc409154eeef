"""Lists images that are stored in tars and folders, with the byte range of each and the metadata beside it.

Used from outside: folder, tar.
"""
