"""A file from the web: resumed where it broke off, checked by its sha256, and only then given its name."""

import time
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import httpx
from tqdm import tqdm

from training.data.sources import Copy, Download, SourceError

ATTEMPTS = 4
PAUSE = 1.0
"""Seconds before the second attempt; twice as long before each that follows."""
TIMEOUT = httpx.Timeout(30, connect=10)


class _Interrupted(Exception):
    """The body, or the server, was not there this time; the text says how far it came."""


def verified(file: Path, copy: Copy) -> Path:
    """The file, if it is the one of the catalogue. Raises `SourceError`."""
    content = file.read_bytes()
    if len(content) < copy.bytes:
        raise SourceError(f"{file} is cut short: it has {len(content):,} of {copy.bytes:,} bytes. Copy it again.")
    if (found := sha256(content).hexdigest()) != copy.sha256:
        raise SourceError(f"{file} is another file: its sha256 is {found}, not {copy.sha256}. Fetch it again.")
    return file


def fetched(download: Download, copy: Copy, folder: Path, key: tuple[str, str] | None = None) -> Path:
    """The file in `folder`; downloaded if it is not there already, as `key` (user, password) where one is needed.

    Raises `SourceError`. What came of a body that broke off stays in a `.part`, from which the next call goes on.
    """
    target = folder / Path(copy.path).name
    if target.is_file() and sha256(target.read_bytes()).hexdigest() == copy.sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{Path(httpx.URL(download.url).path).name}.part"
    _download(download.url, part, key)
    if not download.members and part.stat().st_size < copy.bytes:
        raise SourceError(
            f"{download.url} is cut short: expected {copy.bytes:,} bytes, got {part.stat().st_size:,}. "
            "They are kept; the next run asks for the rest."
        )
    archive = part.read_bytes()
    part.unlink()
    content = _unpacked(archive, download)
    if (found := sha256(content).hexdigest()) != copy.sha256:
        raise SourceError(f"{download.url}: expected {target.name} of sha256 {copy.sha256}, found {found}. Deleted it.")
    whole = target.with_suffix(".whole")
    whole.write_bytes(content)
    return whole.replace(target)


def _unpacked(content: bytes, download: Download) -> bytes:
    try:
        for member in download.members:
            with ZipFile(BytesIO(content)) as archive:
                content = archive.read(member)
    except Exception as error:  # a flipped bit alone raises any of eight types, from zlib.error to ValueError
        raise SourceError(
            f"{download.url}: {type(error).__name__}: {error}; expected an archive with {' > '.join(download.members)}"
        ) from error
    return content.replace(b"\r\n", b"\n") if download.crlf else content


def _download(url: str, part: Path, key: tuple[str, str] | None) -> None:
    """All of the body into `part`, in several attempts if need be. Raises `SourceError`."""
    identity = {"Accept-Encoding": "identity"}  # a range of compressed bytes would not continue plain ones
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT, headers=identity, auth=key) as client:
        for attempt in range(ATTEMPTS):
            try:
                return _stream(client, url, part)
            except _Interrupted as error:
                said = str(error)
            if attempt < ATTEMPTS - 1:
                time.sleep(PAUSE * 2**attempt)
    raise SourceError(f"{url}: {said}. Tried {ATTEMPTS} times; the next run goes on from what has come.")


def _stream(client: httpx.Client, url: str, part: Path) -> None:
    """What `part` lacks of the body, or all of it from a server that knows no ranges."""
    have = part.stat().st_size if part.is_file() else 0
    total = None
    try:
        with client.stream("GET", url, headers={"Range": f"bytes={have}-"} if have else {}) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return _settle(response, part, have)
            _refuse(response)
            have = have if response.status_code == httpx.codes.PARTIAL_CONTENT else 0
            total = have + int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
            bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, leave=False)
            with bar, part.open("ab" if have else "wb") as file:
                for chunk in response.iter_raw():
                    bar.update(file.write(chunk))
    except httpx.TransportError as error:
        if total is None:
            raise _Interrupted(f"no answer ({type(error).__name__}: {error})") from error
        came = part.stat().st_size
        raise _Interrupted(f"the body broke off: expected {total:,} bytes, got {came:,}") from error


def _refuse(response: httpx.Response) -> None:
    """Raises `SourceError` where asking again would not help, and `_Interrupted` where it may."""
    if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise _Interrupted(f"the server answered {response.status_code}")
    if not response.is_success:
        raise SourceError(f"{response.url.copy_with(query=None)} answered {response.status_code}: nothing was fetched.")


def _settle(response: httpx.Response, part: Path, have: int) -> None:
    """Nothing is left to send: either `part` is whole, or it is not of this file."""
    if response.headers.get("Content-Range") != f"bytes */{have}":
        part.unlink()
        raise _Interrupted(f"{have:,} bytes were there, which is more than the file has")
