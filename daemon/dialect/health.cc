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

struct Verdict {
  bool ready = false;
  std::string answer;
};

Verdict judge(const plugin::CallResult& result, const HealthQuestion& question) {
  const std::string service =
      question.service.empty() ? "" : " about service \"" + question.service + "\"";
  if (result.code == StatusCode::kUnimplemented) return {true, ""};
  if (result.code == StatusCode::kNotFound) {
    return {question.unknown_is_ready,
            "its health service does not know the service \"" + question.service + "\""};
  }
  if (result.code != StatusCode::kOk) {
    return {false, "its health service answers with gRPC status " +
                       std::to_string(static_cast<int>(result.code)) + " (" +
                       plugin::printable(result.message, 200) + ")"};
  }
  const auto status = serving_status(result.reply);
  if (!status) return {false, "its health service answers with something that is no health reply"};
  if (*status == kServing) return {true, ""};
  return {*status == kServiceUnknown && question.unknown_is_ready,
          "its health service says " + status_text(*status) + service};
}

}  // namespace

boost::asio::awaitable<std::expected<void, Error>> await_serving(plugin::Connection& connection,
                                                                 HealthQuestion question,
                                                                 plugin::Clock& clock,
                                                                 std::string& last_answer) {
  const std::string request =
      question.service.empty() ? "" : encode_string_field(1, question.service);
  for (milliseconds pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    const auto result =
        co_await connection.unary("/" + std::string(kHealthCheck), request, question.timeout);
    // What comes of it when the caller gives up is no answer.
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (state.cancelled() == boost::asio::cancellation_type::none) {
      if (!result) co_return std::unexpected(result.error());
      Verdict verdict = judge(*result, question);
      if (verdict.ready) co_return std::expected<void, Error>{};
      last_answer = std::move(verdict.answer);
    }
    co_await clock.sleep(pause);
  }
}

}  // namespace plugind::dialect
