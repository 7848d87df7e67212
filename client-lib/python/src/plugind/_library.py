"""libplugind, loaded with cffi in ABI mode: no compiler is needed to install this package."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

import cffi

# The functions of plugind/plugind.h.  A test compares them with the header.
DECLARATIONS = """
typedef struct pd_client pd_client;
typedef struct pd_options pd_options;
typedef struct pd_call pd_call;
typedef struct pd_reply pd_reply;
typedef struct pd_error pd_error;

const char *pd_version(void);

pd_client *pd_connect(const char *address, int64_t timeout_ms, pd_error **error);
void pd_close(pd_client *client);

pd_options *pd_options_new(void);
void pd_options_free(pd_options *options);
void pd_options_set_timeout_ms(pd_options *options, int64_t timeout_ms);
int pd_options_add_metadata(pd_options *options, const char *name, const void *value,
                            size_t value_size);

pd_reply *pd_invoke(pd_client *client, const char *plugin, const char *method,
                    const void *request, size_t request_size, const pd_options *options,
                    pd_error **error);

pd_call *pd_call_begin(pd_client *client, const char *plugin, const char *method,
                       const void *request, size_t request_size, const pd_options *options,
                       uint64_t tag, pd_error **error);
pd_reply *pd_call_wait(pd_call *call, pd_error **error);
void pd_call_cancel(pd_call *call);
void pd_call_free(pd_call *call);
uint64_t pd_call_tag(const pd_call *call);
pd_call *pd_next(pd_client *client, int64_t timeout_ms);
void pd_flush(pd_client *client);

const void *pd_reply_data(const pd_reply *reply);
size_t pd_reply_size(const pd_reply *reply);
void pd_reply_free(pd_reply *reply);

int pd_error_code(const pd_error *error);
const char *pd_error_message(const pd_error *error);
const char *pd_error_reason(const pd_error *error);
void pd_error_free(pd_error *error);
"""

_NAMES = {
    "darwin": ("libplugind.0.dylib", "libplugind.dylib"),
    "win32": ("plugind.dll",),
}
_UNIX_NAMES = ("libplugind.so.0", "libplugind.so")


@functools.cache
def load() -> tuple[cffi.FFI, Any]:
    """The cffi instance and the library, opened at the first use.

    $PLUGIND_LIBRARY names the file; without it the system's loader looks for the library.
    """
    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    named = os.environ.get("PLUGIND_LIBRARY")
    names = (named,) if named else _NAMES.get(sys.platform, _UNIX_NAMES)
    failures = []
    for name in names:
        try:
            return ffi, ffi.dlopen(name)
        except OSError as error:
            failures.append(str(error))
    raise ImportError(
        "libplugind cannot be loaded; install it where the loader looks, or set PLUGIND_LIBRARY "
        "to the file: " + "; ".join(failures)
    )


def library_version() -> str:
    """The version of the loaded libplugind, for example "0.1.0"."""
    ffi, lib = load()
    version: str = ffi.string(lib.pd_version()).decode()
    return version
