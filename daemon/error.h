// The one error type of the daemon, and the table of reasons a caller may be told.
//
// Rule: a function that can fail returns std::expected<T, Error>.  An Error says what failed, which
// thing it was about and what to do.  Exceptions stay inside the function that calls a throwing
// library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plugind {

/// gRPC status codes, as https://grpc.io/docs/guides/status-codes/ numbers them.
enum class StatusCode : std::int32_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

/// Every reason the daemon gives, once: enumerator, name on the wire (google.rpc.ErrorInfo.reason,
/// domain "plugind"), gRPC status, and one sentence for docs/errors.md, which is generated from
/// here.
// clang-format off
#define PLUGIND_REASONS(X)                                                                                              \
  X(PluginNotFound,       "PLUGIN_NOT_FOUND",       NotFound,           "No manifest registers a plugin of that name or version.")       \
  X(ServiceNotFound,      "SERVICE_NOT_FOUND",      NotFound,           "The call names no plugin and none declares its service.")       \
  X(ServiceAmbiguous,     "SERVICE_AMBIGUOUS",      FailedPrecondition, "The call names no plugin and several declare its service.")     \
  X(ExecutableMissing,    "EXECUTABLE_MISSING",     Unavailable,        "The plugin's command does not exist.")                          \
  X(ExecutableUnusable,   "EXECUTABLE_UNUSABLE",    Unavailable,        "The plugin's command exists but cannot be run: permission, architecture or format.") \
  X(ChecksumMismatch,     "CHECKSUM_MISMATCH",      Unavailable,        "The plugin's executable is not the one that its manifest pins by sha256.") \
  X(RequirementMissing,   "REQUIREMENT_MISSING",    Unavailable,        "Something that the plugin's manifest requires is not on this machine.") \
  X(StartTimeout,         "START_TIMEOUT",          Unavailable,        "The plugin did not become ready within start.timeout.")         \
  X(StartExited,          "START_EXITED",           Unavailable,        "The plugin exited before it became ready.")                     \
  X(HandshakeInvalid,     "HANDSHAKE_INVALID",      Unavailable,        "The plugin's first output is not the greeting of its dialect.") \
  X(ProtocolUnsupported,  "PROTOCOL_UNSUPPORTED",   Unavailable,        "The plugin speaks a protocol or version that the manifest or plugind does not.") \
  X(ConnectFailed,        "CONNECT_FAILED",         Unavailable,        "The plugin announced an address that does not answer.")         \
  X(NotReady,             "NOT_READY",              Unavailable,        "The plugin's health service says that it does not serve.")      \
  X(IsolationUnavailable, "ISOLATION_UNAVAILABLE",  Unavailable,        "A user, a limit or an isolation that the plugin's manifest asks for cannot be had here.") \
  X(SpawnFailed,          "SPAWN_FAILED",           Unavailable,        "The operating system refused to start the process.")            \
  X(PluginCrashed,        "PLUGIN_CRASHED",         Unavailable,        "The plugin's process ended during the call.")                   \
  X(PluginUnhealthy,      "PLUGIN_UNHEALTHY",       Unavailable,        "The plugin failed its health checks and was killed during the call.") \
  X(PluginProtocolError,  "PLUGIN_PROTOCOL_ERROR",  Unavailable,        "The plugin broke the HTTP/2 or gRPC protocol, or closed its connection.") \
  X(PluginStopped,        "PLUGIN_STOPPED",         Unavailable,        "The plugin is stopped, or was while the call ran: by an operator, a changed manifest, the end of its host or that of plugind.") \
  X(UpgradeRuns,          "UPGRADE_IN_PROGRESS",    FailedPrecondition, "Another upgrade of the plugin has not ended yet.")              \
  X(CrashLoop,            "CRASH_LOOP",             Unavailable,        "The plugin failed too often in a short time and is not started again by itself.") \
  X(StartModeManual,      "START_MODE_MANUAL",      Unavailable,        "The plugin is started by an operator only and is not running.") \
  X(Draining,             "DAEMON_DRAINING",        Unavailable,        "plugind is shutting down.")                                     \
  X(QueueFull,            "QUEUE_FULL",             ResourceExhausted,  "More calls wait for an instance of the plugin than calls.queue allows.") \
  X(QueueTimeout,         "QUEUE_TIMEOUT",          ResourceExhausted,  "The call has waited for an instance for as long as calls.queue_timeout allows.") \
  X(TooManyInstances,     "TOO_MANY_INSTANCES",     ResourceExhausted,  "The plugin has as many instances as max_instances allows.")      \
  X(TooManyStreams,       "TOO_MANY_STREAMS",       ResourceExhausted,  "Too many streams of logs and events are open.")                 \
  X(TooManyDiagnoses,     "TOO_MANY_DIAGNOSES",     ResourceExhausted,  "Too many diagnoses are under way.")                             \
  X(TooManyCalls,         "TOO_MANY_CALLS",         ResourceExhausted,  "More calls of the plugin are in progress than calls.max_concurrent allows.") \
  X(HeadersTooLarge,      "HEADERS_TOO_LARGE",      ResourceExhausted,  "The call's metadata is over the bound.")                        \
  X(RequestTooLarge,      "REQUEST_TOO_LARGE",      ResourceExhausted,  "A request message is over calls.max_message.")                  \
  X(ReplyTooLarge,        "REPLY_TOO_LARGE",        ResourceExhausted,  "A reply message is over calls.max_message.")                    \
  X(RequestInvalid,       "REQUEST_INVALID",        InvalidArgument,    "The call's header fields are not those of a gRPC call.")        \
  X(CallTimeout,          "CALL_TIMEOUT",           DeadlineExceeded,   "The call's deadline, calls.timeout or calls.timeout_max passed.") \
  X(PermissionDenied,     "PERMISSION_DENIED",      PermissionDenied,   "The caller's user may not call the plugin, or may not change anything here.") \
  X(ManifestInvalid,      "MANIFEST_INVALID",       InvalidArgument,    "A manifest has an error; it says file, line and column.")       \
  X(ConfigInvalid,        "CONFIG_INVALID",         InvalidArgument,    "A setting or command-line option is wrong.")                    \
  X(SocketInUse,          "SOCKET_IN_USE",          FailedPrecondition, "Another live daemon holds the socket.")                         \
  X(SocketPathTooLong,    "SOCKET_PATH_TOO_LONG",   InvalidArgument,    "The socket path is longer than the operating system allows.")   \
  X(RuntimeDirUnsafe,     "RUNTIME_DIR_UNSAFE",     FailedPrecondition, "The runtime directory belongs to somebody else or others may write to it.") \
  X(System,               "SYSTEM_ERROR",           Internal,           "The operating system refused something else; the message says what.") \
  X(Internal,             "INTERNAL",               Internal,           "A defect in plugind; please report it.")
// clang-format on

enum class Reason {
#define X(name, wire, status, text) k##name,
  PLUGIND_REASONS(X)
#undef X
};

/// The name on the wire, for example "PLUGIN_CRASHED".  Static storage.
std::string_view reason_name(Reason reason);

/// The gRPC status that callers get for `reason`.
StatusCode reason_status(Reason reason);

struct Error {
  Reason reason;
  /// A sentence for people: what failed, which one, and what to do about it.
  std::string message;
  /// Facts for programs: google.rpc.ErrorInfo.metadata, for example {"exit_code", "3"}.
  std::vector<std::pair<std::string, std::string>> details = {};
  /// The end of `message` that says what to do, where the two are told apart; else "".
  std::string remedy = {};
};

inline Error make_error(Reason reason, std::string message) { return {reason, std::move(message)}; }

/// The message is "WHAT: REMEDY", with `joint` between them, or only `what` if there is no remedy.
Error make_error(Reason reason, std::string what, std::string_view remedy,
                 std::string_view joint = ": ");

}  // namespace plugind
