"""Call plugins that the plugind daemon runs.

    import plugind

    with plugind.connect() as client:
        reply = client.invoke("text", "/text.v1.Text/Echo", request.SerializeToString(), timeout=5)

Nothing here installs a signal handler, starts a thread or starts a process.
"""

from ._channel import Channel
from ._client import Client, connect
from ._error import Code, Error
from ._library import library_version

__version__ = "0.1.0"

__all__ = ["Channel", "Client", "Code", "Error", "connect", "library_version"]
