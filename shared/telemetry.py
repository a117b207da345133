"""One JSON line an occurrence, as Cloud Logging reads them, and counters of what should be seen. No personal data."""

import json
import logging
import sys
from collections import Counter

counts: Counter[str] = Counter()
"""How often each thing happened in this process; `/healthz` shows them."""

_logger = logging.getLogger("retention")


def start(level: int = logging.INFO) -> None:
    """Write lines to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSON())
    _logger.handlers = [handler]
    _logger.setLevel(level)
    _logger.propagate = False


def log(message: str, **fields: object) -> None:
    _logger.info(message, extra={"fields": fields})


def count(name: str, **fields: object) -> None:
    """Something that is handled but should be seen: counted, and a warning."""
    counts[name] += 1
    _logger.warning(name, extra={"fields": fields})


def log_failure(service: str, event_id: str, error: Exception) -> None:
    """A handler could not do its work and will be asked again."""
    counts["retries"] += 1
    _logger.error("handler failed", exc_info=error, extra={"fields": {"service": service, "event_id": event_id}})


class _JSON(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"severity": record.levelname, "message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
