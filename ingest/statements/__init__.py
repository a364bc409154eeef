"""What a picture's own metadata says of training on it: IPTC's data mining property in XMP, and C2PA manifests.

Used from outside: in_picture.
"""
