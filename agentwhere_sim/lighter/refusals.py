"""How the venue says no: a code and a message, on HTTP 400.

Codes as the venue documents them (21104 invalid nonce, 21120 invalid signature, 21728 client order index in use,
21739 not enough margin) or as clients have reported them; a client should only tell these apart by their numbers.
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

INVALID_PARAMETER = 20001
UNAUTHORIZED = 20013
ACCOUNT_NOT_FOUND = 21100
INVALID_NONCE = 21104
API_KEY_NOT_FOUND = 21109
INVALID_EXPIRY = 21111
INVALID_SIGNATURE = 21120
TX_NOT_FOUND = 21500
INVALID_MARKET = 21602
INVALID_AMOUNT = 21706
INVALID_LEVERAGE = 21714
CLIENT_INDEX_IN_USE = 21728
INVALID_ORDER = 21729
NOT_ENOUGH_MARGIN = 21739


class RefusalError(Exception):
    """The venue refuses a request."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    def response(self) -> Response:
        """Give the answer that the client gets."""
        return JSONResponse({"code": self.code, "message": str(self)}, 400)


def invalid(parameter: str) -> Response:
    """Give the answer to a parameter that makes no sense."""
    return RefusalError(INVALID_PARAMETER, f"invalid param : {parameter}").response()
