"""Writes generated pages.

python -m tagmill.docs.generate             # those that are committed: reasons, speed, results of transfer and studies
python -m tagmill.docs.generate --site DIR  # all pages into DIR, from which the site is built
"""

import argparse
from pathlib import Path

from tagmill.docs.generate import reasons, speed, study_results, transfer_results
from tagmill.docs.generate.site import stage

ROOT = Path(__file__).resolve().parents[2]


def committed() -> dict[str, str]:
    """Returns the pages that are made from the code and committed: name below the repository -> Markdown."""
    return {
        reasons.PAGE: reasons.reasons_page(),
        speed.PAGE: speed.speed_page(ROOT),
        study_results.PAGE: study_results.study_results_page(ROOT),
        transfer_results.PAGE: transfer_results.transfer_results_page(ROOT),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, help="an empty or missing folder for all pages")
    site: Path | None = parser.parse_args().site
    if site is not None:
        stage(ROOT, site)
        return
    for name, text in committed().items():
        (ROOT / name).write_text(text)


if __name__ == "__main__":
    main()
