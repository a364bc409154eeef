"""Account, endpoint and keys of Azure by the environment and by the address."""

import pytest

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote.azure_settings import EMULATED, azure_environment, azure_settings
from tagmill.shards.storage.remote.places import Place, place_of

KEY = {"AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}
TEXT = "AZURE_STORAGE_CONNECTION_STRING"
NAMED = "abfss://box@acc.dfs.core.windows.net/a"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _ in azure_environment():
        monkeypatch.delenv(name)


def settings(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], url: str = "az://box/a") -> dict[str, object]:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = place_of(url)
    assert found is not None
    return dict(azure_settings(found[0], azure_environment()))


@pytest.mark.parametrize(
    ("given", "url", "found"),
    [
        ({"AZURE_STORAGE_ACCOUNT_NAME": "acc", **KEY}, "az://box/a", {"account_name": "acc"}),
        ({"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_KEY": "k"}, "az://box/a", {"account_name": "acc", "account_key": "k"}),
        (KEY, NAMED, {"account_name": "acc", "endpoint": "https://acc.blob.core.windows.net"}),
        (
            {"AZURE_STORAGE_ACCOUNT_NAME": "acc", "AZURE_STORAGE_ENDPOINT": "http://h:1/acc/", **KEY},
            NAMED,
            {"account_name": "acc", "endpoint": "http://h:1/acc"},
        ),
        (
            {"AZURE_STORAGE_ACCOUNT_NAME": "other", "AZURE_STORAGE_ENDPOINT": "http://h:1/other", **KEY},
            NAMED,
            {"account_name": "acc", "endpoint": "https://acc.blob.core.windows.net"},
        ),
        (
            {TEXT: "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5==;EndpointSuffix=core.windows.net"},
            "az://box/a",
            {"account_name": "acc", "account_key": "a2V5==", "endpoint": "https://acc.blob.core.windows.net"},
        ),
        (
            {TEXT: "BlobEndpoint=https://x.example/;AccountName=acc;SharedAccessSignature=?sv=1&sig=a%3D"},
            "az://box/a",
            {"account_name": "acc", "endpoint": "https://x.example", "sas_key": "sv=1&sig=a%3D"},
        ),
        ({TEXT: "UseDevelopmentStorage=true"}, "az://box/a", {"use_emulator": True, "account_name": EMULATED}),
        ({"AZURE_STORAGE_USE_EMULATOR": "true"}, "az://box/a", {"use_emulator": True, "account_name": EMULATED}),
        ({"AZURE_CREDENTIAL_TYPE": "managed_identity"}, "az://box@acc.blob.core.windows.net/a", None),
    ],
)  # fmt: skip
def test_settings(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], url: str, found: dict[str, object] | None
) -> None:
    if found is None:
        found = {"account_name": "acc", "endpoint": "https://acc.blob.core.windows.net"}
    assert settings(monkeypatch, given, url) == found


def test_without_an_account_or_keys_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """obstore would ask an address that only machines in Azure answer."""
    with pytest.raises(StoreError, match=r"no account of Azure.*AZURE_STORAGE_ACCOUNT_NAME"):
        settings(monkeypatch, KEY)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    with pytest.raises(StoreError, match=r"no keys for Azure.*AZURE_SKIP_SIGNATURE=true") as caught:
        azure_settings(Place("az", "box", "acc", "core.windows.net"), azure_environment())
    assert "\n" not in str(caught.value)
