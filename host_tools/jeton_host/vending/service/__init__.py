"""The point of sale as an HTTP service; it needs the optional packages of the extra `server`."""

from importlib.util import find_spec

from jeton_host.errors import VendingError

for _name in ("fastapi", "fastapi_offline", "uvicorn"):
    if find_spec(_name) is None:
        raise VendingError(f"the vending service needs {_name}: pip install 'jeton-meter[server]'")
