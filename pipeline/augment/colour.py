"""Changes the colours of a batch of images, on their device: the operations of colour jitter and RandAugment.

Images are uint8 [n, 3, s, s]; a planar layout is fastest. Results equal those of torchvision's functions of the same
names for one uint8 image, within one level.
"""

import torch

# ITU-R BT.601 as torchvision truncates it: the grey level of white is 254. Exact grey levels are multiples of 1e-4;
# adding half of that lifts whole ones above float32's rounding error, so every device rounds them alike.
RED, GREEN, BLUE, LIFT = 0.2989, 0.587, 0.114, 5e-5
STRETCH = 255.999 / 255.0  # torchvision's scale from a share to a level


def blend(pixels: torch.Tensor, other: torch.Tensor | None, factors: torch.Tensor) -> torch.Tensor:
    """Returns factor x image + (1 - factor) x other (None: black), clamped to 0..255 and rounded down; `factors` is
    float32 [n]."""
    factors = factors.view(-1, 1, 1, 1)
    made = pixels.to(torch.float32).mul_(factors)
    if other is not None:
        made += (1.0 - factors) * other
    return made.clamp_(0, 255).to(torch.uint8)


def grey(pixels: torch.Tensor) -> torch.Tensor:
    """Returns the grey levels, float32 [n, 1, s, s], rounded down to whole levels."""
    level = pixels[:, :1].to(torch.float32).mul_(RED)
    level.add_(pixels[:, 1:2], alpha=GREEN).add_(pixels[:, 2:], alpha=BLUE)
    return level.add_(LIFT).floor_()


def brightness(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Scales brightness: factor 0 is black, 1 the image."""
    return blend(pixels, None, factors)


def contrast(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Scales contrast: factor 0 is the image's mean grey level, 1 the image."""
    return blend(pixels, grey(pixels).mean((1, 2, 3), keepdim=True, dtype=torch.float64).to(torch.float32), factors)


def saturation(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Scales saturation: factor 0 is greyscale, 1 the image."""
    return blend(pixels, grey(pixels), factors)


def hue(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Rotates the hue by `factors` (float32 [n]) of the full circle; value and saturation stay."""
    red, green, blue = pixels.to(torch.float32).unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    divisor = chroma.clamp(min=1.0)  # greys have no hue; avoids a division by 0
    sixth = torch.where(value == green, (blue - red).div_(divisor).add_(2.0), (red - green).div_(divisor).add_(4.0))
    sixth = torch.where(value == red, (green - blue).div_(divisor), sixth).add_(6.0 * factors.view(-1, 1, 1))
    turned = torch.empty_like(pixels)
    # Each colour is the value minus the chroma times the distance of the hue: A. R. Smith's hexcone in one formula.
    for channel, offset in enumerate((5.0, 3.0, 1.0)):
        sector = (sixth + offset).remainder_(6.0)
        missing = torch.minimum(sector, 4.0 - sector).clamp_(0.0, 1.0)
        turned[:, channel] = (
            torch.addcmul(value, chroma, missing, value=-1.0).mul_(STRETCH).clamp_(0, 255).to(torch.uint8)
        )
    return turned


def sharpness(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Sharpens: factor 0 is smoothed (each level five times plus its eight neighbours, divided by 13), 1 the image; the
    border pixels stay."""
    if min(pixels.shape[2:]) <= 2:
        return pixels
    levels = pixels.to(torch.float32)  # whole numbers up to 13 x 255 are exact
    columns = levels[:, :, :-2] + levels[:, :, 1:-1] + levels[:, :, 2:]
    sums = columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:] + 4 * levels[:, :, 1:-1, 1:-1]
    made = pixels.clone()
    made[:, :, 1:-1, 1:-1] = blend(pixels[:, :, 1:-1, 1:-1], sums.div_(13).round_(), factors)
    return made


def posterise(pixels: torch.Tensor, bits: int) -> torch.Tensor:
    """Keeps the highest `bits` of 8."""
    return pixels & (0xFF << 8 - bits & 0xFF)


def solarise(pixels: torch.Tensor, threshold: float) -> torch.Tensor:
    """Inverts levels of at least `threshold`."""
    return torch.where(pixels >= threshold, 255 - pixels, pixels)


def autocontrast(pixels: torch.Tensor) -> torch.Tensor:
    """Stretches each channel to 0..255; a channel of a single level stays."""
    low, high = (edge.to(torch.int32).unsqueeze(-1) for edge in (pixels.amin((2, 3)), pixels.amax((2, 3))))
    levels = torch.arange(256, dtype=torch.int32, device=pixels.device)
    stretched = (levels - low).clamp_(min=0) * 255 // (high - low).clamp(min=1)
    return look_up(pixels, torch.where(high > low, stretched, levels))


def equalise(pixels: torch.Tensor) -> torch.Tensor:
    """Equalises the histogram of each channel, as Pillow does; a channel with few pixels below its highest level stays."""
    flat = pixels.flatten(2).to(torch.int64)
    counts = torch.zeros((*flat.shape[:2], 256), dtype=torch.int64, device=pixels.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    step = (flat.shape[2] - counts.gather(2, flat.amax(2, keepdim=True))) // 255
    below = counts.cumsum(2) - counts
    spread = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    return look_up(pixels, torch.where(step > 0, spread, torch.arange(256, device=pixels.device)))


def look_up(pixels: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Maps each level by `table`, [n, 3, 256] of numbers in 0..255, which has one row for each image and channel."""
    return table.to(torch.uint8).gather(2, pixels.flatten(2).to(torch.int64)).view(pixels.shape)
