"""``python -m graphgym`` runs this project's experiments; see :mod:`pyg_samsa.cli`.

Another distribution has a package of the same name: extending the path lets both be imported, whichever comes first.
"""

import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)
