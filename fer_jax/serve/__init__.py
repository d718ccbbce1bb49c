"""The web page of ``--mode=serve``: ``analyse`` makes its answers, ``app`` serves them."""
