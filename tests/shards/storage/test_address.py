"""Addresses of stores: which extra opens a scheme, and what a user is asked to do where its package is missing."""

import tomllib
from pathlib import Path

import pytest
from fsspec.registry import known_implementations
from packaging.requirements import Requirement

from tagmill.shards.errors import StoreError
from tagmill.shards.storage import address

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


@pytest.mark.parametrize("scheme", sorted(address.EXTRAS))
def test_an_extra_installs_the_package_that_fsspec_opens_the_scheme_with(scheme: str) -> None:
    known = known_implementations | {"abfss": {"class": "adlfs.AzureBlobFileSystem"}}  # by adlfs itself
    package = known[scheme]["class"].partition(".")[0]
    assert package in {Requirement(line).name for line in EXTRAS[address.EXTRAS[scheme]]}


def test_all_is_every_extra_that_can_be_installed_together() -> None:
    (every,) = (Requirement(line) for line in EXTRAS["all"])
    assert every.name == "tagmill" and every.extras == EXTRAS.keys() - {"all", "dali-cu12"}


@pytest.mark.parametrize("url", ["gs://bucket", "abfss://box@account.example"])
def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Please install it") if url.startswith("gs") else ValueError("Protocol not known: abfss")

    monkeypatch.setattr(address, "url_to_fs", missing)
    with pytest.raises(StoreError, match=r"pip install 'tagmill\[(gcs|azure)\]'"):
        address.handle(url)


def test_a_store_without_an_account_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ValueError("Must provide either a connection_string or account_name with credentials")

    monkeypatch.setattr(address, "url_to_fs", refused)
    with pytest.raises(StoreError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        address.handle("az://box")
