"""`README.md` of a Parquet export: the front matter by which the Hugging Face hub and `datasets` find its splits."""

from tagmill.shards.exchange.front_matter import front_matter
from tagmill.shards.manifest import Corpus


def parquet_card(corpus: Corpus, view: str, splits: set[str], samples: int) -> bytes:
    """Returns the card of an export of these splits."""
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in sorted(splits, reverse=True)]
    configs = [{"config_name": "default", "data_files": files}]
    head = front_matter({"configs": configs, "pretty_name": corpus.file.name})
    return f"""{head}

# Export of a corpus

{samples:,} samples, exported by tagmill with the labels of the view `{view}`. Rights in the images are those of their sources;
column `licence` has what the source says of an image, and null where it says nothing.

| column | meaning |
| --- | --- |
| `image` | The JPEG as the corpus stores it |
| `key` | First 32 hex digits of `sha256` |
| `labels` | Classes of the view |
| `repeat` | Copies of the sample in an epoch of the view, on average; 0: the view leaves it out |
| `sha256`, `pdq` | Of the source image: sha256 of its bytes, and PDQ hash |
| `width`, `height` | Pixels of the image; `original_width` and `original_height` are those of the source |
| `tags` | As written at the source |
| `url`, `page`, `licence` | Of the source, where known |

```python
from datasets import load_dataset

samples = load_dataset("path/or/name", streaming=True)
```
""".encode()
