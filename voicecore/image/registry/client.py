"""Owns one repository of a registry: finds, pulls and pushes manifests and blobs.

Our own client, because no client on PyPI does what a push needs: oras cannot mount blobs or report
progress, python-dxf neither retries nor reads Docker's logins, both block, and none renews a token
that expires during an upload. Protocol: opencontainers/distribution-spec v1.1, spec.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urljoin

import aiohttp
from yarl import URL

from voicecore.console.progress import OnProgress, Progress
from voicecore.image.model import PLATFORM
from voicecore.image.registry.connection import PAUSES, BlobContent, RegistryConnection, Upload
from voicecore.image.registry.credentials import LoginSource, ecr_host
from voicecore.image.registry.errors import (
    NotLoggedIn,
    RegistryDenied,
    corrupt,
    image_missing,
    malformed,
    platform_missing,
    refusal,
    repository_missing,
)
from voicecore.image.registry.http import BODY_MAX, CHUNK, RegistryAnswer, TransientError, reason_of
from voicecore.image.registry.manifests import (
    OCI_INDEX,
    OCI_MANIFEST,
    digest_for_platform,
    digest_of,
    parse,
    platform_name,
    require_descriptor,
    require_image,
    require_index,
)
from voicecore.image.registry.reference import Reference, is_digest

_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPT = ", ".join([OCI_INDEX, OCI_MANIFEST, f"{_DOCKER}.list.v2+json", f"{_DOCKER}.v2+json"])


@dataclass(frozen=True)
class Manifest:
    """A manifest or index as a repository stores it."""

    digest: str
    media_type: str
    raw: bytes = field(repr=False)


@dataclass(frozen=True)
class RemoteImage:
    """The image for one platform that a tag or digest points to."""

    digest: str
    """Digest that the name points to: of an index of platforms, or of a single image."""
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]


def file_content(path: Path) -> BlobContent:
    """Return the bytes of a file as the content of a blob."""

    async def chunks() -> AsyncIterator[bytes]:
        # The file is almost always in the page cache, so a thread would cost more than it saves.
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    return chunks


class Repository:
    """One repository of a registry; open it with `async with`.

    `actions` is the scope that the registry is asked for: "pull", or "pull,push". Every method
    raises the errors of `registry.errors` and those of the login source.
    """

    def __init__(
        self,
        reference: Reference,
        source: LoginSource,
        actions: str = "pull",
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self.reference = reference
        self._connection = RegistryConnection(reference, source, actions, pauses)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        self._base = f"{self._connection.root}{self.reference.repository}/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    # ---- manifests

    async def manifest(self, version: str) -> Manifest:
        """Return the manifest or index under a tag or digest. Raises ImageMissing."""
        found = await self.find(version)
        if not found:
            raise image_missing(self.reference, version)
        return found

    async def find(self, version: str) -> Manifest | None:
        """Return the manifest or index under a tag or digest; None if there is none.

        Raises RepositoryMissing for ECR, which does not create a repository on push.
        """
        url = f"{self._base}manifests/{version}"
        answer = await self._connection.retrying(
            lambda: self._connection.request("GET", url, {200, 404}, {"Accept": _ACCEPT})
        )
        if answer.status == 404:
            if ecr_host(self.reference.registry) and "NAME_UNKNOWN" in dict(answer.errors):
                raise repository_missing(self.reference)
            return None
        digest = digest_of(answer.body)
        if version.startswith("sha256:") and version != digest:
            raise corrupt(self.reference, version)
        media_type = answer.headers.get("Content-Type", "").split(";")[0]
        return Manifest(digest, media_type, answer.body)

    async def image(self, version: str, platform: str = PLATFORM) -> RemoteImage:
        """Return the image for `platform` under a tag or digest.

        Raises PlatformMissing or ImageMissing.
        """
        name = self.reference.named(version)
        named = await self.manifest(version)
        try:
            manifest = parse(named.raw)
            if "manifests" in manifest:
                require_index(manifest)
                digest = digest_for_platform(manifest, name, platform)
                if not is_digest(digest):
                    raise ValueError(f"{digest[:80]!r} is not a digest")
                manifest = parse((await self.manifest(digest)).raw)
            require_descriptor(manifest.get("config"))
            config = parse(await self.read(manifest["config"]["digest"]))
            if (actual := platform_name(config)) != platform:
                raise platform_missing(name, platform, [actual])
            require_image(manifest, config)
        except ValueError as error:
            raise malformed(self.reference, version, str(error).rstrip(".")) from error
        return RemoteImage(named.digest, manifest, config)

    async def push_manifest(self, version: str, media_type: str, raw: bytes) -> str:
        """Push a manifest under a tag or digest and return its digest. Raises TagTaken."""
        url = f"{self._base}manifests/{version}"

        async def chunks() -> AsyncIterator[bytes]:
            yield raw

        def ignore(done: int) -> None:
            del done

        headers = {"Content-Type": media_type, "Content-Length": str(len(raw))}
        upload = Upload(chunks, len(raw), ignore)
        await self._connection.retrying(
            lambda: self._connection.request("PUT", url, {200, 201, 202}, headers, upload)
        )
        return digest_of(raw)

    # ---- pulling blobs

    async def read(self, digest: str) -> bytes:
        """Return a small blob, such as a config, after checking its digest. Raises BlobCorrupt."""
        content = b"".join([chunk async for chunk in self.stream(digest, BODY_MAX)])
        if digest_of(content) != digest:
            raise corrupt(self.reference, digest)
        return content

    async def download(
        self, digest: str, size: int, path: Path, on_done: Callable[[int], None]
    ) -> None:
        """Write a blob to the file `path`; `on_done` takes the bytes so far. Raises BlobCorrupt."""
        whole = hashlib.sha256()
        done = 0
        with path.open("wb") as file:
            async for chunk in self.stream(digest, size):
                whole.update(chunk)
                file.write(chunk)
                done += len(chunk)
                on_done(done)
        if f"sha256:{whole.hexdigest()}" != digest:
            raise corrupt(self.reference, digest)

    async def stream(self, digest: str, size: int) -> AsyncIterator[bytes]:
        """Yield a blob's bytes without checking its digest; resumes after a lost connection.

        Raises BlobCorrupt after `size` bytes: a registry could send without end.
        """
        url = f"{self._base}blobs/{digest}"
        done = 0
        pauses = iter(self._connection.pauses)
        while True:
            try:
                response = await self._connection.open("GET", url, {200, 206}, _range_from(done))
                try:
                    # A registry that ignores the range sends all of it: skip what was yielded.
                    skip = done if response.status == 200 else 0
                    async for chunk in response.content.iter_chunked(CHUNK):
                        fresh = chunk[skip:]
                        skip -= len(chunk) - len(fresh)
                        done += len(fresh)
                        if done > size:
                            raise corrupt(self.reference, digest)
                        if fresh:
                            yield fresh
                    return
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    raise TransientError(reason_of(error)) from error
                finally:
                    response.release()
            except TransientError as error:
                await self._connection.wait(error, next(pauses, None))

    # ---- pushing blobs

    async def push(
        self,
        digest: str,
        size: int,
        content: BlobContent,
        on_progress: OnProgress,
        task: str,
        mount_from: str = "",
    ) -> int:
        """Push a blob of `size` bytes and return how many bytes were sent.

        A blob that the repository has is not sent; one that the repository `mount_from` of the same
        registry has is mounted. `task` names the blob in progress reports.
        """

        def on_sent(done: int) -> None:
            on_progress(Progress(task, done, size))

        # Each attempt looks for the blob first, so that nothing is sent twice.
        skipped = await self._connection.retrying(
            lambda: self._push_once(digest, Upload(content, size, on_sent), mount_from)
        )
        on_progress(Progress(task, size, size, finished=True, note=skipped))
        return 0 if skipped else size

    async def _push_once(self, digest: str, upload: Upload, mount_from: str) -> str:
        """Push a blob; return why nothing was sent, or "" if it was sent."""
        if await self._has(digest):
            return "already there"
        begun = await self._begin(digest, mount_from)
        if begun.status == 201:
            return "mounted"
        # In one request: ECR drops every chunk after the first (aws/containers-roadmap#2831), and
        # containerd pushes to every registry in this way.
        place = self._upload_place(begun.headers.get("Location", ""))
        place += ("&" if "?" in place else "?") + urlencode({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(upload.size)}
        await self._connection.request("PUT", place, {201, 202, 204}, headers, upload)
        return ""

    def _upload_place(self, location: str) -> str:
        """Return the URL to upload to. Raises RegistryRefused."""
        try:
            place = URL(urljoin(self._base, location), encoded=True)
            if location and place.host and place.scheme in {"http", "https"}:
                return str(place)
        except ValueError:
            pass  # not a URL
        raise refusal(202, (), "it names no place to upload to", self.reference)

    async def _has(self, digest: str) -> bool:
        url, expected = f"{self._base}blobs/{digest}", {200, 400, 403, 404}
        answer = await self._connection.request("HEAD", url, expected)
        if answer.status in {400, 403}:
            # An answer to HEAD has no body, so it does not say why. This request gets the reason
            # and renews an expired login; if access is denied, the upload reports it.
            await self._connection.request("GET", str(self._connection.root), {200, 404})
            answer = await self._connection.request("HEAD", url, expected)
        return answer.status == 200

    async def _begin(self, digest: str, mount_from: str) -> RegistryAnswer:
        """Start an upload; the answer has status 202, or 201 if the blob was mounted instead."""
        url = f"{self._base}blobs/uploads/"
        if mount_from:
            await self._connection.authorization.add_scope(f"repository:{mount_from}:pull")
            query = urlencode({"mount": digest, "from": mount_from})
            try:
                return await self._connection.request("POST", f"{url}?{query}", {201, 202})
            except (NotLoggedIn, RegistryDenied):
                pass  # no access to the other repository: send the blob
        return await self._connection.request("POST", url, {202})


def _range_from(done: int) -> dict[str, str]:
    return {"Range": f"bytes={done}-"} if done else {}
