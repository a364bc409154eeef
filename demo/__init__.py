"""The small web that the demo serves: drawn pictures, hashtags as people write them, and planted trouble with its truth."""
