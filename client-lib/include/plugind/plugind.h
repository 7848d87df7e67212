/* libplugind: call plugins that plugind runs, from any language that can call C.
 *
 * Rules that hold for every function here:
 *  - Nothing here installs, blocks or sends a signal, starts a thread or a process, registers a
 *    handler to run at exit or fork, or keeps state per thread.
 *  - Ownership: a pointer that a function returns and that has a matching pd_..._free belongs to the
 *    caller.  A `const char *` or `const void *` that an accessor returns is borrowed: it lives as
 *    long as the object it was read from.  Arguments are read during the call and never kept.
 *  - Errors: a function that can fail takes `pd_error **error`.  It may be NULL.  On failure the
 *    function returns NULL and, if `error` is not NULL, stores a new pd_error there that the caller
 *    frees.  On success `*error` is not written.
 *  - Every free function accepts NULL.
 *  - Times are milliseconds; sizes are bytes; strings are UTF-8 and end with a zero byte.
 */
#ifndef PLUGIND_PLUGIND_H_
#define PLUGIND_PLUGIND_H_

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#if defined(PD_BUILDING)
#define PD_API __declspec(dllexport)
#else
#define PD_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define PD_API __attribute__((visibility("default")))
#else
#define PD_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header.  pd_version() gives that of the library. */
#define PD_VERSION "0.1.0"

typedef struct pd_client pd_client;
typedef struct pd_options pd_options;
typedef struct pd_call pd_call;
typedef struct pd_reply pd_reply;
typedef struct pd_error pd_error;

/* The version of the library, for example "0.1.0".  Static storage. */
PD_API const char *pd_version(void);

/* Connects to a daemon.
 *
 * `address` is "unix:/path", "tcp:HOST:PORT" (HOST must be a loopback address) or an absolute path.
 * NULL means $PLUGIND_SOCKET, else $XDG_RUNTIME_DIR/plugind/plugind.sock, else
 * /run/plugind/plugind.sock.
 * `timeout_ms` bounds the wait for the connection and for the daemon's greeting; 0 means 5,000.
 *
 * A client may be used by many threads at once; their calls share one connection.  A connection
 * that breaks is opened again by the next call.  After fork(), the child must connect for itself:
 * there a call on an inherited client fails with FAILED_PRECONDITION, and pd_close only closes the
 * inherited descriptor.
 *
 * Actionable errors: UNAVAILABLE (14) no daemon answers there, the message says how to start one;
 * INVALID_ARGUMENT (3) the address cannot be understood; PERMISSION_DENIED (7) the socket may not be
 * opened by this user; DEADLINE_EXCEEDED (4) no greeting in time. */
PD_API pd_client *pd_connect(const char *address, int64_t timeout_ms, pd_error **error);

/* Closes the connection and frees the client.  Calls that are still in flight on it end with
 * CANCELLED first; no call may start on it after this. */
PD_API void pd_close(pd_client *client);

/* Options of a call.  One object may serve many calls, also at the same time, as long as nobody
 * changes it meanwhile. */
PD_API pd_options *pd_options_new(void);
PD_API void pd_options_free(pd_options *options);

/* The longest the call may take.  0, the default, means no bound on this side; the daemon's own
 * calls.timeout still holds. */
PD_API void pd_options_set_timeout_ms(pd_options *options, int64_t timeout_ms);

/* Adds one pair of request metadata.  `name` is lower case as gRPC demands; a name that ends in
 * "-bin" takes any bytes, which are sent in base64, other names take printable ASCII.  The pair is
 * copied.  Returns 0; or 3 (INVALID_ARGUMENT) when the name or value is not allowed: names that begin
 * with "grpc-" or "plugind-" and those that HTTP gives a meaning to are not; or 8
 * (RESOURCE_EXHAUSTED) when all pairs together would be over 48 KiB, or memory is short.  When it is
 * not 0 the options are unchanged. */
PD_API int pd_options_add_metadata(pd_options *options, const char *name, const void *value,
                                   size_t value_size);

/* Makes one unary call and waits for its answer.
 *
 * `plugin` is a plugin's name, "NAME@VERSION", or NULL to let the daemon choose by the service that
 * `method` names.  `method` is "/package.Service/Method".  `request` is the serialised request
 * message of `request_size` bytes; it may be NULL when the size is 0.  `options` may be NULL.
 *
 * A message may have up to 2 GiB - 1 bytes either way.  A call that the daemon certainly has not seen
 * (it was restarted meanwhile, or is about to be) is sent once more by itself; no other is.
 *
 * Actionable errors: every gRPC status that the plugin or the daemon answers with; when the daemon
 * answered, pd_error_reason() is one of docs/errors.md.  This library itself answers with:
 *   UNAVAILABLE (14)          DAEMON_UNREACHABLE  nobody answers at the address; see pd_connect
 *   UNAVAILABLE (14)          DAEMON_GONE         the daemon went away during the call, which may or
 *                                                 may not have been carried out
 *   DEADLINE_EXCEEDED (4)     CALL_TIMEOUT        the options' timeout passed
 *   CANCELLED (1)             CLIENT_CLOSED       pd_close was called meanwhile
 *   FAILED_PRECONDITION (9)   CLIENT_FORKED       the client was opened before fork()
 *   INVALID_ARGUMENT (3)      ""                  method, plugin or request cannot be sent
 *   RESOURCE_EXHAUSTED (8)    ""                  a message or the metadata is over its bound, or
 *                                                 memory is short
 *   INTERNAL (13), UNKNOWN (2) ""                 the answer is not that of a unary gRPC call */
PD_API pd_reply *pd_invoke(pd_client *client, const char *plugin, const char *method,
                           const void *request, size_t request_size, const pd_options *options,
                           pd_error **error);

/* Calls that do not hold a thread.
 *
 * pd_call_begin starts a unary call; pd_next gives the calls that have ended, one after the other, so
 * that one thread can have many of them under way; or pd_call_wait waits for a certain one.  What is
 * begun is sent when some have come together, and by the next function that waits (pd_next,
 * pd_call_wait, pd_invoke, on any thread) or pd_flush: calls that are begun together travel together.  Answers are received by those
 * functions too; while no thread is in one of them, nothing is. */

/* Begins a call.  The arguments mean what they mean to pd_invoke; the request is copied.  `tag` is
 * the caller's, for pd_call_tag.  The call belongs to the caller, who frees it with pd_call_free,
 * before or after pd_close.
 *
 * Waits only, and then up to the options' timeout, while a connection has to be opened anew or the
 * daemon takes no more calls at a time from this client.
 *
 * Actionable errors: those of pd_invoke that are known at once.  The others come from
 * pd_call_wait. */
PD_API pd_call *pd_call_begin(pd_client *client, const char *plugin, const char *method,
                              const void *request, size_t request_size, const pd_options *options,
                              uint64_t tag, pd_error **error);

/* Waits until the call has ended and gives its answer, once.  At most one thread at a time.  A call
 * that a thread waits for is not given to pd_next, one that ended before is: so for the calls of one
 * client use pd_next, or wait for each, but not both at a time.
 *
 * Actionable errors: those of pd_invoke, and
 *   CANCELLED (1)             CALL_CANCELLED      pd_call_cancel was called
 *   FAILED_PRECONDITION (9)   ""                  the answer was given before */
PD_API pd_reply *pd_call_wait(pd_call *call, pd_error **error);

/* Ends a call that still runs: the plugin is told, and pd_call_wait, which another thread may be in,
 * gives CANCELLED.  The plugin may have carried the call out all the same.  Does nothing to a call
 * that has ended. */
PD_API void pd_call_cancel(pd_call *call);

/* Frees the call, and cancels it first if it still runs.  No other thread may use it any more. */
PD_API void pd_call_free(pd_call *call);

/* What was given to pd_call_begin. */
PD_API uint64_t pd_call_tag(const pd_call *call);

/* Waits up to `timeout_ms`, without bound when that is negative, for the next call that ends, in the
 * order in which they end.  pd_call_wait gives its answer at once.  NULL when none ended in time, and
 * at once when none is under way or pd_close was called.  Each ended call is given once.  Any number
 * of threads may be in here. */
PD_API pd_call *pd_next(pd_client *client, int64_t timeout_ms);

/* Sends what has been begun, as far as that is possible without waiting. */
PD_API void pd_flush(pd_client *client);

/* The serialised reply message.  Never NULL, also when the size is 0. */
PD_API const void *pd_reply_data(const pd_reply *reply);
PD_API size_t pd_reply_size(const pd_reply *reply);
PD_API void pd_reply_free(pd_reply *reply);

/* A gRPC status code, 1 to 16. */
PD_API int pd_error_code(const pd_error *error);
/* What failed and what to do, for people.  Never NULL. */
PD_API const char *pd_error_message(const pd_error *error);
/* A stable word for programs, for example "PLUGIN_CRASHED"; "" when the plugin itself answered with
 * a status that carries none. */
PD_API const char *pd_error_reason(const pd_error *error);
PD_API void pd_error_free(pd_error *error);

#ifdef __cplusplus
}
#endif

#endif /* PLUGIND_PLUGIND_H_ */
