"""What the choice of a decoder needs to know of the images that it will get."""

from collections.abc import Sequence
from dataclasses import dataclass

from tagmill.shards.manifest import Corpus

TYPICAL_BYTES = 33_000.0  # of a photograph of short side 256, 4:2:0, quality 90 (240 photographs)


@dataclass(frozen=True)
class Pictures:
    """The images of a corpus or of a mixture."""

    mean_bytes: float = TYPICAL_BYTES  # of a sample in its tar: a little more than its JPEG
    restart_markers: float = 0.0  # share of the samples whose corpus was made with restart markers

    @property
    def cuttable(self) -> bool:
        """True if at least half of the samples can be cut to their windows."""
        return self.restart_markers >= 0.5


UNKNOWN = Pictures()


def pictures_of(corpora: Sequence[Corpus]) -> Pictures:
    """Returns what the manifests of some corpora say of their images, without reading one."""
    sizes = [int(corpus.column("bytes").sum()) for corpus in corpora]
    counts = [int(corpus.column("samples").sum()) for corpus in corpora]
    marked = [count for corpus, count in zip(corpora, counts, strict=True) if has_markers(corpus.file.image_policy)]
    samples = max(1, sum(counts))
    return Pictures(sum(sizes) / samples or TYPICAL_BYTES, sum(marked) / samples)


def has_markers(policy: dict[str, object]) -> bool:
    """Returns whether an image policy writes restart markers. Corpora from before they existed have no entry."""
    return policy.get("restart_interval", 0) not in (0, "0", None)
