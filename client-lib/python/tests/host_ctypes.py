"""libplugind with nothing but Python itself: host_ctypes.py ADDRESS METHOD TEXT prints the answer."""

import ctypes
import os
import sys

lib = ctypes.CDLL(os.environ.get("PLUGIND_LIBRARY", "libplugind.so.0"))
pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
lib.pd_connect.restype = lib.pd_invoke.restype = lib.pd_reply_data.restype = pointer
lib.pd_connect.argtypes = [text, ctypes.c_int64, pointer]
lib.pd_invoke.argtypes = [pointer, text, text, text, size, pointer, pointer]
lib.pd_error_message.restype = lib.pd_error_reason.restype = text
lib.pd_reply_size.restype = size
for function in ("reply_data", "reply_size", "reply_free", "close", "error_free"):
    getattr(lib, "pd_" + function).argtypes = [pointer]
for function in ("message", "reason", "code"):
    getattr(lib, "pd_error_" + function).argtypes = [pointer]

address, method, request = (argument.encode() for argument in sys.argv[1:])
error = pointer()
client = lib.pd_connect(address, 10_000, ctypes.byref(error))
reply = client and lib.pd_invoke(
    client, None, method, request, len(request), None, ctypes.byref(error)
)
if reply:
    data = ctypes.string_at(lib.pd_reply_data(reply), lib.pd_reply_size(reply))
    print("reply", data.decode())
    lib.pd_reply_free(reply)
else:
    message, reason = lib.pd_error_message(error).decode(), lib.pd_error_reason(error).decode()
    print("error", lib.pd_error_code(error), reason, message)
    lib.pd_error_free(error)
if client:
    lib.pd_close(client)
