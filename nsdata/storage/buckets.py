"""Buckets: which credentials open them, and the words for a person when they refuse.

A store in a bucket is read and written through two doors: the small files by ``objects.py``, the datasets by
``engine.py``. Left alone, each would look for credentials in places of its own (one asks an instance's metadata
service, the other sends unsigned requests), so that half a store could be reached. Here they are found once, in the
environment and in the files that the AWS tools share, and handed to both.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nsdata.errors import BadInput, StorageFailed

EXPORT = 'eval "$(aws configure export-credentials --format env)"'  # what SSO, roles and instances give, as keys
AGAIN = "When it answers again, give the same command again: what was committed is kept."

# A dropped connection or a 5xx is tried again at most 5 times, until 30 s have passed. A server that accepts and says
# nothing is given up after 15 s a time; what flows, however slowly, may take its ten minutes.
RETRIES: dict[str, Any] = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}
TIMEOUTS: dict[str, Any] = {"connect_timeout": "5s", "read_timeout": "15s", "timeout": "10m"}


@dataclass(frozen=True, slots=True)
class Access:
    """What opens S3: keys, where they came from, region, and an endpoint for servers that are not Amazon's."""

    key: str
    secret: str
    token: str
    region: str
    endpoint: str
    source: str


def canonical(text: str) -> str:
    """``s3://bucket/prefix`` or ``gs://bucket/prefix`` without trailing slashes. Raises BadInput."""
    scheme, _, rest = text.partition("://")
    scheme = {"gcs": "gs"}.get(scheme, scheme)
    if scheme in ("az", "azure", "abfs", "abfss"):
        # Not a matter of taste: where Azure does not answer, the engine ends the whole process.
        raise BadInput(
            f"The store's address is {text!r}; stores on Azure are not supported, s3://BUCKET/PREFIX is.",
            "--store s3://BUCKET/PREFIX",
        )
    if scheme not in ("s3", "gs"):
        raise BadInput(
            f"The store's address is {text!r}; a local path, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or mem://NAME was "
            "expected.",
            "--store lake",
        )
    bucket, *prefix = rest.rstrip("/").split("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", bucket):
        raise BadInput(f"The address {text!r} names no bucket: {bucket!r}.", f"--store {scheme}://BUCKET/PREFIX")
    for name in prefix:  # others are encoded by some clients and not by others: two places for one name
        if not re.fullmatch(r"[A-Za-z0-9._=+,-]+", name) or name in (".", ".."):
            raise BadInput(
                f"The address {text!r} has {name!r} in it; letters, digits and . _ = + , - are allowed.",
                "Choose another prefix.",
            )
    return f"{scheme}://{'/'.join([bucket, *prefix])}"


def is_bucket(url: str) -> bool:
    """True for a canonical address in a bucket."""
    return url.startswith(("s3://", "gs://"))


def split(url: str) -> tuple[str, str]:
    """The bucket and the prefix ("" for none) of a canonical address."""
    bucket, _, prefix = url.partition("://")[2].partition("/")
    return bucket, prefix


def access(url: str) -> Access:
    """The credentials for an ``s3://`` address, as they are now: keys in files may be renewed while we run.

    The environment wins over the files, as in Amazon's own tools. Raises StorageFailed where there are none: neither
    door then goes looking for some by itself.
    """
    env = os.environ.get
    profile = env("AWS_PROFILE") or env("AWS_DEFAULT_PROFILE") or ""
    settings = _settings(profile)
    found = {
        "region": env("AWS_REGION") or env("AWS_DEFAULT_REGION") or settings.get("region") or "us-east-1",
        "endpoint": env("AWS_ENDPOINT_URL_S3") or env("AWS_ENDPOINT_URL") or settings.get("endpoint_url") or "",
    }
    found["endpoint"] = found["endpoint"].rstrip("/")
    _need_network(url, found["endpoint"])
    key, secret = env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return Access(key, secret, env("AWS_SESSION_TOKEN") or "", **found, source="the environment")
    if key or secret:
        has, lacks = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")[:: 1 if key else -1]
        raise StorageFailed(f"{has} is set, {lacks} is not; {url} needs both.", f"export {lacks}=VALUE")
    if profile and not settings:
        raise StorageFailed(f"There is no profile {profile!r} in {_files()}.", "aws configure list-profiles")
    if settings.get("aws_access_key_id") and settings.get("aws_secret_access_key"):
        return Access(
            settings["aws_access_key_id"],
            settings["aws_secret_access_key"],
            settings.get("aws_session_token", ""),
            **found,
            source=f"the profile {profile or 'default'!r}",
        )
    raise StorageFailed(
        f"No keys for {url}: not in AWS_ACCESS_KEY_ID, not in the profile {profile or 'default'!r} of {_files()}.",
        EXPORT,
    )


def engine_access(url: str) -> dict[str, Any]:
    """Keyword arguments that open a dataset at this address through the engine."""
    if url.startswith("gs://"):
        _google_file(url)  # it is read from the same variable there
    if not url.startswith("s3://"):
        return {}
    found = access(url)
    creds = {
        "aws_access_key_id": found.key,
        "aws_secret_access_key": found.secret,
        "aws_session_token": found.token,
        "aws_region": found.region,
    }
    return {"creds": {**creds, "endpoint_url": found.endpoint} if found.endpoint else creds}


def backend(url: str, *, retries: bool = True) -> Any:
    """The bucket of this address for small files. Clients are kept: each has connections of its own."""
    bucket, _ = split(url)
    key = (url.partition("://")[0], bucket, access(url) if url.startswith("s3://") else _google_file(url), retries)
    if key not in _clients:
        _clients[key] = _client(*key)
    return _clients[key]


_clients: dict[tuple[str, str, Access | str, bool], Any] = {}


def _client(scheme: str, bucket: str, found: Access | str, retries: bool) -> Any:
    from obstore.store import GCSStore, S3Store

    options: dict[str, Any] = {
        "client_options": dict(TIMEOUTS),
        "retry_config": RETRIES if retries else {"max_retries": 0},
    }
    if isinstance(found, str):
        return GCSStore(bucket, application_credentials=found, **options)
    if found.endpoint:
        options["endpoint"] = found.endpoint
        options["client_options"]["allow_http"] = found.endpoint.startswith("http://")
    # through a provider, since a token that stands in the environment would be sent with keys from a file
    keys = {
        "access_key_id": found.key,
        "secret_access_key": found.secret,
        "token": found.token or None,
        "expires_at": None,
    }
    return S3Store(bucket, region=found.region, credential_provider=lambda: keys, **options)


def explain(url: str, error: BaseException) -> StorageFailed | None:
    """What a bucket's refusal means and what to do; None for what is not a bucket's, or not known here."""
    if not is_bucket(url):
        return None
    text, bucket = f"{type(error).__name__} {error}", split(url)[0]
    place, found = "Google Cloud Storage", None
    if url.startswith("s3://"):
        found = access(url)
        place = found.endpoint or f"Amazon S3 ({found.region})"
    name, source = f"{url.partition('://')[0]}://{bucket}", found.source if found else "GOOGLE_APPLICATION_CREDENTIALS"
    for pattern, message, hint in (
        (r"NoSuchBucket", f"There is no bucket {bucket!r} at {place}.", "aws s3 ls"),
        (
            r"InvalidAccessKeyId|INVALID_ACCESS_KEY_ID",
            f"{place} does not know the access key from {source}.",
            "Check AWS_ACCESS_KEY_ID, or: aws sts get-caller-identity",
        ),
        (
            r"SignatureDoesNotMatch|SIGNATURE_DOES_NOT_MATCH",
            f"The secret key from {source} does not belong to its access key, says {place}.",
            "Check AWS_SECRET_ACCESS_KEY, or: aws sts get-caller-identity",
        ),
        (r"ExpiredToken|TokenRefreshRequired", f"The keys from {source} for {name} have expired.", EXPORT),
        (
            r"AuthorizationHeaderMalformed|PermanentRedirect|redirect without LOCATION|status=301|LocationConstraint",
            f"The bucket {bucket!r} is not in the region {found.region if found else ''!r}.",
            f"aws s3api get-bucket-location --bucket {bucket}, then export AWS_REGION=REGION",
        ),
        (
            r"PermissionDenied|AccessDenied|Access denied|Unauthenticated|status(?: code: |=)40[13]",
            f"The keys from {source} may not do this in {url}.",
            f"aws s3 ls {name}",
        ),
        (r"status(?: code: |=)50[03]|SlowDown", f"{place} is too busy to answer for {url}.", AGAIN),
        (
            r"NotImplemented|status(?: code: |=)501",
            f"{place} does not know the conditional put, with which a store decides who comes first.",
            "Use a server that knows If-None-Match.",
        ),
        (
            r"Network connection error|error sending request|[Tt]imed? ?out|[Cc]onnect|request or response body",
            f"No answer from {place} for {url}.",
            AGAIN,
        ),
    ):
        if re.search(pattern, text):
            return StorageFailed(message, hint)
    return None


def _settings(profile: str) -> dict[str, str]:
    """What the two shared files say of a profile, the credentials file first."""
    import configparser

    name = profile or "default"
    found: dict[str, str] = {}
    for path, section in ((_config(), "default" if name == "default" else f"profile {name}"), (_credentials(), name)):
        parser = configparser.RawConfigParser(default_section="\0", strict=False)  # secrets may hold a %
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            raise StorageFailed(f"{path} cannot be read: {str(error).splitlines()[0]}", f"ls -l {path}") from error
        if parser.has_section(section):
            found.update(parser.items(section))
    return found


def _credentials() -> Path:
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()


def _config() -> Path:
    return Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()


def _files() -> str:
    return f"{_credentials()} or {_config()}"


def _google_file(url: str) -> str:
    """The key file for Google's buckets. Raises StorageFailed where there is none."""
    _need_network(url, "")
    path = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    if not os.path.isfile(path):
        what = f"names {path!r}, which is no file" if path else "is not set"
        raise StorageFailed(
            f"No keys for {url}: GOOGLE_APPLICATION_CREDENTIALS {what}.",
            "export GOOGLE_APPLICATION_CREDENTIALS=key.json",
        )
    return path


def _need_network(url: str, endpoint: str) -> None:
    """NSDATA_OFFLINE sends all that leaves this machine to a dead proxy: say so, before a client tries for minutes."""
    if os.environ.get("NSDATA_OFFLINE", "") in ("", "0") or urlsplit(endpoint).hostname in LOOPBACK:
        return
    raise StorageFailed(
        f"NSDATA_OFFLINE is set, so {url} cannot be reached: a bucket is on the network.", "unset NSDATA_OFFLINE"
    )


LOOPBACK = ("localhost", "127.0.0.1", "::1")
