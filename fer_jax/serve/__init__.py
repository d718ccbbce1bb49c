"""The web page of ``--mode=serve``: what it answers (``analyse``), how it is served (``app``)."""
