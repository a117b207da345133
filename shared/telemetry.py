"""Logging as JSON lines, which Cloud Logging reads, and counters of what operators should see. No personal data."""

import json
import logging
import sys
from collections import Counter

counts: Counter[str] = Counter()
"""Counters of this process, which `/healthz` shows."""

_logger = logging.getLogger("retention")


def start(level: int = logging.INFO) -> None:
    """Write log lines of `level` and above to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONFormatter())
    _logger.handlers = [handler]
    _logger.setLevel(level)
    _logger.propagate = False


def log(message: str, **fields: object) -> None:
    _logger.info(message, extra={"fields": fields})


def count(name: str, **fields: object) -> None:
    """Count an occurrence that is handled but should be noticed, and log it as a warning."""
    counts[name] += 1
    _logger.warning(name, extra={"fields": fields})


def log_failure(service: str, event_id: str, error: Exception) -> None:
    """Log that a handler failed on a message, and count the retry that follows."""
    counts["retries"] += 1
    _logger.error("handler failed", exc_info=error, extra={"fields": {"service": service, "event_id": event_id}})


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"severity": record.levelname, "message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
