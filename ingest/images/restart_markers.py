"""Chooses the restart interval of a stored JPEG, and adds restart markers to one that is stored as it came.

A baseline JPEG is decoded from its first byte on, except where it has restart markers (ITU-T T.81, E.1.4): what is
between two of them is decoded alone. Where the interval divides the MCUs of a row, the segments that cover a window are
a JPEG of their own, so that a loader that crops decodes little else.
"""

from fractions import Fraction

from tagmill.ingest.config.image_policy import RestartInterval
from tagmill.ingest.images.jpeg_planes import recode
from tagmill.ingest.images.resize import Size

ENCODED_MCU = 16  # pixels a side of an MCU at 4:2:0, which all our encoders write
MOST_GROWTH = Fraction(3, 100)  # of a file that is coded again for its markers
# Price of an MCU more in a segment, as a share of the picture's longer side, against that of a marker at every MCU.
# bench/restart_markers.py measures both.
_PRICE = 3
_SOF0, _DRI, _SOS = 0xC0, 0xDD, 0xDA


def interval_of(asked: RestartInterval, size: Size, mcu: int = ENCODED_MCU) -> int:
    """Returns the MCUs between restart markers of an image of `size` pixels whose MCUs have sides of `mcu` pixels.

    It always divides the MCUs of a row; 0 is for no markers. A number that is asked for is the most that it may be.
    "auto" takes the divisor k at which 3 k / (MCUs of the longer side) + 1 / k is least, the larger of two equal ones:
    the first term is what a crop decodes in vain, the second the bytes of the markers.
    """
    across, down = (-(-side // mcu) for side in size)
    divisors = [number for number in range(1, across + 1) if across % number == 0]
    if asked == "auto":
        longer = max(across, down)
        return min(divisors, key=lambda k: (Fraction(_PRICE * k, longer) + Fraction(1, k), -k))
    return max((number for number in divisors if number <= asked), default=0)


def with_restart_markers(jpeg: bytes, size: Size, asked: RestartInterval) -> bytes:
    """Returns a JPEG that `without_metadata` gave, with restart markers and the same pixels.

    The same bytes where none are asked for, where its own markers can be used already, where it would grow by more than
    MOST_GROWTH, and where `recode` declines it.
    """
    mcu, own = _mcu_and_interval(jpeg)
    interval = interval_of(asked, size, mcu)
    if not interval or (own and -(-size[0] // mcu) % own == 0):
        return jpeg
    made = recode(jpeg, size, interval)
    return jpeg if made is None or len(made) > len(jpeg) * (1 + MOST_GROWTH) else made


def _mcu_and_interval(jpeg: bytes) -> tuple[int, int]:
    """Returns the pixels a side of an MCU, and the restart interval (0: none), of a JPEG with contiguous segments."""
    offset, mcu, interval = 2, 0, 0
    while (marker := jpeg[offset + 1]) != _SOS:
        if marker == _SOF0:
            mcu = 8 * (jpeg[offset + 11] & 15)  # luma's sampling factor; chroma's is 1
        elif marker == _DRI:
            interval = int.from_bytes(jpeg[offset + 4 : offset + 6])
        offset += 2 + int.from_bytes(jpeg[offset + 2 : offset + 4])
    return mcu, interval
