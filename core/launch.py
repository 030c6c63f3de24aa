"""What both processes do first: logs without the secrets that the settings hold, and a word on settings unused."""

from __future__ import annotations

import logging
import os

from core.config import Settings
from core.ops.logs import setup_logging

logger = logging.getLogger(__name__)


def start_logging(settings: Settings, process: str) -> None:
    """Set up this process's logs, mask every secret of the settings, and warn of settings that nothing reads."""
    redactor = setup_logging(settings.ops, process=process, dyno=os.environ.get("DYNO", ""))
    redactor.add(*settings.secrets())
    redactor.add_url(*settings.urls())
    for name in settings.unused():
        logger.warning("%s is set, but this version does not use it", name)
