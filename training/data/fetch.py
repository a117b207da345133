"""Downloads of single files, resumed after an interruption and verified by sha256 before they get their name."""

import time
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import httpx
from tqdm import tqdm

from training.data.sources import Download, MirrorFile, SourceError

MAX_ATTEMPTS = 4
RETRY_DELAY_SECONDS = 1.0
"""Delay before the second attempt; doubled before each further one."""
TIMEOUT = httpx.Timeout(30, connect=10)


class _InterruptedError(Exception):
    """The server or the rest of the body was unavailable; the message says how much was received."""


def verify_file(path: Path, file: MirrorFile) -> Path:
    """`path`, if its content has the checksum of the catalogue. Raises `SourceError`."""
    content = path.read_bytes()
    if len(content) < file.bytes:
        raise SourceError(f"{path} is cut short: it has {len(content):,} of {file.bytes:,} bytes. Copy it again.")
    if (digest := sha256(content).hexdigest()) != file.sha256:
        raise SourceError(f"{path} is another file: its sha256 is {digest}, not {file.sha256}. Fetch it again.")
    return path


def fetch_file(download: Download, file: MirrorFile, folder: Path, key: tuple[str, str] | None = None) -> Path:
    """The file in `folder`; downloaded if it is missing, with `key` (user, password) for authentication.

    An interrupted download stays as a `.part` file, from which the next call resumes. Raises `SourceError`.
    """
    target = folder / Path(file.path).name
    if target.is_file() and sha256(target.read_bytes()).hexdigest() == file.sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{Path(httpx.URL(download.url).path).name}.part"
    _download(download.url, part, key)
    if not download.members and part.stat().st_size < file.bytes:
        raise SourceError(
            f"{download.url} is cut short: expected {file.bytes:,} bytes, got {part.stat().st_size:,}. "
            "They are kept; the next run asks for the rest."
        )
    body = part.read_bytes()
    part.unlink()
    content = _unpack(body, download)
    if (digest := sha256(content).hexdigest()) != file.sha256:
        raise SourceError(
            f"{download.url}: expected {target.name} of sha256 {file.sha256}, found {digest}. Deleted it."
        )
    complete = target.with_suffix(".whole")
    complete.write_bytes(content)
    return complete.replace(target)


def _unpack(content: bytes, download: Download) -> bytes:
    try:
        for member in download.members:
            with ZipFile(BytesIO(content)) as archive:
                content = archive.read(member)
    except Exception as error:  # a damaged archive raises one of eight types, from zlib.error to ValueError
        raise SourceError(
            f"{download.url}: {type(error).__name__}: {error}; expected an archive with {' > '.join(download.members)}"
        ) from error
    return content.replace(b"\r\n", b"\n") if download.crlf else content


def _download(url: str, part: Path, key: tuple[str, str] | None) -> None:
    """Download the body into `part`, in up to MAX_ATTEMPTS attempts. Raises `SourceError`."""
    headers = {"Accept-Encoding": "identity"}  # a range of compressed bytes would not continue plain ones
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT, headers=headers, auth=key) as client:
        for attempt in range(MAX_ATTEMPTS):
            try:
                return _stream(client, url, part)
            except _InterruptedError as error:
                failure = str(error)
            if attempt < MAX_ATTEMPTS - 1:
                time.sleep(RETRY_DELAY_SECONDS * 2**attempt)
    raise SourceError(f"{url}: {failure}. Tried {MAX_ATTEMPTS} times; the next run resumes the download.")


def _stream(client: httpx.Client, url: str, part: Path) -> None:
    """Append the rest of the body to `part`; a server that does not support ranges sends all of it again."""
    received = part.stat().st_size if part.is_file() else 0
    total = None
    try:
        with client.stream("GET", url, headers={"Range": f"bytes={received}-"} if received else {}) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return _check_complete(response, part, received)
            _check_status(response)
            received = received if response.status_code == httpx.codes.PARTIAL_CONTENT else 0
            if "Content-Length" in response.headers:
                total = received + int(response.headers["Content-Length"])
            bar = tqdm(total=total, initial=received, unit="B", unit_scale=True, desc=part.stem, leave=False)
            with bar, part.open("ab" if received else "wb") as file:
                for chunk in response.iter_raw():
                    bar.update(file.write(chunk))
    except httpx.TransportError as error:
        if total is None:
            raise _InterruptedError(f"no answer ({type(error).__name__}: {error})") from error
        size = part.stat().st_size
        raise _InterruptedError(f"the body broke off: expected {total:,} bytes, got {size:,}") from error


def _check_status(response: httpx.Response) -> None:
    """Raises `SourceError` for a status that a retry cannot change, and `_InterruptedError` for one that it may."""
    if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise _InterruptedError(f"the server answered {response.status_code}")
    if not response.is_success:
        raise SourceError(f"{response.url.copy_with(query=None)} answered {response.status_code}: nothing was fetched.")


def _check_complete(response: httpx.Response, part: Path, received: int) -> None:
    """For a server that has no more bytes: `part` is complete, or belongs to another file and is deleted."""
    if response.headers.get("Content-Range") != f"bytes */{received}":
        part.unlink()
        raise _InterruptedError(f"{received:,} bytes were there, which is more than the file has")
