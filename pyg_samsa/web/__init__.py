"""The local web page of ``pyg-samsa serve``, and the REST interface beneath it.

FastAPI and what comes with it are optional (extra ``web``), so nothing is imported here: `pyg_samsa.web.server` names
what is missing, and then imports `pyg_samsa.web.app`.
"""
