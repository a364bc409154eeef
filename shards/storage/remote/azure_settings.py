"""Finds the account, the endpoint and the keys of Azure in the environment. obstore reads most of it itself.

| variable | what it sets |
| --- | --- |
| `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT` | the account, unless the address names one |
| `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_ACCESS_KEY`, `AZURE_STORAGE_KEY` | the account's key |
| `AZURE_STORAGE_SAS_TOKEN` | a shared access signature |
| `AZURE_STORAGE_CONNECTION_STRING` | account, key or signature, and endpoint in one text |
| `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` with `AZURE_CLIENT_SECRET` | a service principal |
| the same two with `AZURE_FEDERATED_TOKEN_FILE` | workload identity, as in Kubernetes |
| `AZURE_CREDENTIAL_TYPE=managed_identity` | the machine's own identity |
| `AZURE_USE_AZURE_CLI=true` | the login of `az login` |
| `AZURE_SKIP_SIGNATURE=true` | a public container, without keys |
| `AZURE_STORAGE_ENDPOINT` | another address of the account's blob service |
| `AZURE_STORAGE_USE_EMULATOR=true` | Azurite on this machine |
"""

from typing import Any

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote.clients import Settings
from tagmill.shards.storage.remote.environment import Environment, is_true, variables
from tagmill.shards.storage.remote.places import Place

EMULATED = "devstoreaccount1"  # the account of Azure's emulator
NO_ACCOUNT = "set AZURE_STORAGE_ACCOUNT_NAME, or give abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
NO_AZURE_KEYS = (
    "set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING; "
    "AZURE_CREDENTIAL_TYPE=managed_identity for the identity of a machine, AZURE_SKIP_SIGNATURE=true for a public one"
)
# One of these lets obstore find keys. Without, it would ask an address that only machines in Azure answer.
_SOURCES = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_CREDENTIAL_TYPE",
    "AZURE_MSI_ENDPOINT",
    "AZURE_IDENTITY_ENDPOINT",
    "AZURE_USE_AZURE_CLI",
    "AZURE_SKIP_SIGNATURE",
    "AZURE_FABRIC_TOKEN_SERVICE_URL",
)


def azure_environment() -> Environment:
    """Returns the current variables about Azure."""
    return variables(b"AZURE_", b"AZURITE_", b"IDENTITY_", b"MSI_")


def azure_settings(place: Place, environment: Environment) -> Settings:
    """Returns the arguments of obstore's client that obstore does not find itself. Raises StoreError without an account
    or keys."""
    given = dict(environment)
    text = _connection(given.get("AZURE_STORAGE_CONNECTION_STRING", ""))
    if is_true(given.get("AZURE_STORAGE_USE_EMULATOR", "")) or is_true(text.get("usedevelopmentstorage", "")):
        return (("use_emulator", True), ("account_name", EMULATED))
    own = given.get("AZURE_STORAGE_ACCOUNT_NAME") or given.get("AZURE_STORAGE_ACCOUNT") or text.get("accountname", "")
    account, url = place.account or own, f"az://{place.bucket}"
    if not account:
        raise StoreError("no account of Azure is named", url, NO_ACCOUNT)
    settings: dict[str, Any] = {"account_name": account}
    endpoint = given.get("AZURE_STORAGE_ENDPOINT") or given.get("AZURE_ENDPOINT") or text.get("blobendpoint", "")
    if not endpoint and text.get("endpointsuffix"):
        endpoint = f"{text.get('defaultendpointsprotocol', 'https')}://{account}.blob.{text['endpointsuffix']}"
    if endpoint and account == (own or account):
        settings["endpoint"] = endpoint.rstrip("/")
    elif place.cloud:
        settings["endpoint"] = f"https://{account}.blob.{place.cloud}"
    if key := text.get("accountkey") or given.get("AZURE_STORAGE_KEY"):
        settings["account_key"] = key
    if signature := text.get("sharedaccesssignature"):
        settings["sas_key"] = signature.removeprefix("?")
    if not settings.keys() & {"account_key", "sas_key"} and not any(given.get(name) for name in _SOURCES):
        raise StoreError("there are no keys for Azure", url, NO_AZURE_KEYS)
    return tuple(settings.items())


def _connection(text: str) -> dict[str, str]:
    """Returns the fields of a connection string by their names in lower case."""
    pairs = (each.partition("=") for each in text.split(";") if each.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
