"""Settings of the files that are kept.  Pure."""

import attrs

from gateway.config.setting import setting


@attrs.frozen
class Media:
    """How much is kept of files that come with messages, or are to be sent."""

    quota_bytes: int = setting(
        2_000_000_000,
        "All files together; beyond, the oldest go. A hundred of the largest that are taken.",
        unit="bytes",
        minimum=1_000_000,
    )
    kept_days: int = setting(
        30, "Age at which a file goes; what was said of it stays.", unit="days", minimum=1
    )
