#include "daemon/dialect/health.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "daemon/dialect/protobuf.h"
#include "daemon/plugin/printable.h"

namespace plugind::dialect {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{10}, kLongestPause{500};

// grpc.health.v1.HealthCheckResponse.ServingStatus
constexpr std::uint64_t kUnknown = 0, kServing = 1, kNotServing = 2, kServiceUnknown = 3;

// The status in a HealthCheckResponse; nullopt if it is none.
std::optional<std::uint64_t> serving_status(std::string_view message) {
  std::uint64_t status = kUnknown;
  ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number == 1 && !field->is_bytes) status = field->number_value;
  }
  if (reader.failed()) return std::nullopt;
  return status;
}

std::string status_text(std::uint64_t status) {
  switch (status) {
    case kUnknown:
      return "UNKNOWN";
    case kNotServing:
      return "NOT_SERVING";
    case kServiceUnknown:
      return "SERVICE_UNKNOWN";
    default:
      return "status " + std::to_string(status);
  }
}

// What is wrong, if something is.
std::optional<std::string> judge(const plugin::CallResult& result, const HealthQuestion& question) {
  if (result.code == StatusCode::kUnimplemented) return std::nullopt;
  if (result.code == StatusCode::kNotFound) {
    if (question.unknown_is_ready) return std::nullopt;
    return "its health service does not know the service \"" + question.service + "\"";
  }
  if (result.code == StatusCode::kDeadlineExceeded) {
    return "its health service gives no answer within " + std::to_string(question.timeout.count()) +
           " ms";
  }
  if (result.code != StatusCode::kOk) {
    return "its health service answers with gRPC status " +
           std::to_string(static_cast<int>(result.code)) + " (" +
           plugin::printable(result.message, 200) + ")";
  }
  const auto status = serving_status(result.reply);
  if (!status) return "its health service answers with something that is no health reply";
  if (*status == kServing) return std::nullopt;
  if (*status == kServiceUnknown && question.unknown_is_ready) return std::nullopt;
  return "its health service says " + status_text(*status) +
         (question.service.empty() ? "" : " about service \"" + question.service + "\"");
}

}  // namespace

boost::asio::awaitable<std::expected<std::optional<std::string>, Error>> ask_health(
    plugin::Connection& connection, HealthQuestion question) {
  // No temporary in the expression that waits: GCC 12 destroys that of a `?:` twice.
  const std::string method = "/" + std::string(kHealthCheck);
  const std::string request =
      question.service.empty() ? "" : encode_string_field(1, question.service);
  const auto result = co_await connection.unary(method, request, question.timeout);
  if (!result) co_return std::unexpected(result.error());
  co_return judge(*result, question);
}

boost::asio::awaitable<std::expected<void, Error>> await_serving(plugin::Connection& connection,
                                                                 HealthQuestion question,
                                                                 plugin::Clock& clock,
                                                                 std::string& last_answer) {
  for (milliseconds pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    auto wrong = co_await ask_health(connection, question);
    // What comes of it when the caller gives up is no answer.
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (state.cancelled() == boost::asio::cancellation_type::none) {
      if (!wrong) co_return std::unexpected(std::move(wrong.error()));
      if (!*wrong) co_return std::expected<void, Error>{};
      last_answer = std::move(**wrong);
    }
    co_await clock.sleep(pause);
  }
}

}  // namespace plugind::dialect
