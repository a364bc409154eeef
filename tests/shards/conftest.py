"""Fixtures that several files of this room use."""

from tests.shards.objectstore import s3_bucket, s3_service

__all__ = ["s3_bucket", "s3_service"]
