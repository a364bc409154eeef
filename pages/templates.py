"""The only door of jinja2: every value in a page is escaped, and a name that is missing is an error."""

from collections.abc import Mapping

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from tagmill.shards.terminal.safe_text import safe_text


def visible(text: object, most: int = 200) -> str:
    """Returns a text in which every character can be seen, at most `most` columns wide. A template still escapes it."""
    return safe_text(str(text), most)


def page_environment(package: str) -> Environment:
    """Returns the templates in the folder of a package, such as `tagmill.browse.report`, and those of `tagmill.pages`;
    `x|visible` shows untrusted text."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(each, package_path="") for each in (package, "tagmill.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    environment.filters["number"] = lambda count: f"{count:,}"
    return environment


def render(package: str, name: str, values: Mapping[str, object]) -> str:
    """Returns a page made from the template `name` of a package."""
    return page_environment(package).get_template(name).render(**values)
