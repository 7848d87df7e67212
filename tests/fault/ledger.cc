#include "tests/fault/ledger.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>

namespace plugind::e2e {

namespace {

constexpr std::size_t kRecord = 16;  // Bytes, as the plugin's command "!record" writes them.
constexpr int kMostDifferences = 10;

/// The bytes of the records there, a line each, with their places in the file.
std::string records_at(const std::string& bytes, std::size_t begin, std::size_t count) {
  std::string text;
  for (std::size_t at = begin; at < bytes.size() && at < begin + count * kRecord; at += kRecord) {
    text += "\n  byte " + std::to_string(at) + ":";
    for (const char c : bytes.substr(at, kRecord)) {
      char hex[4];
      std::snprintf(hex, sizeof hex, " %02x", static_cast<unsigned char>(c));
      text += hex;
    }
  }
  return text + "\n";
}

/// Of a record that is as the plugin writes them: blanks and an end of line after the number.
std::string number_in(const std::string& record) {
  const std::size_t end = record.find(' ');
  const bool whole = record.size() == kRecord && end != record.npos && record.back() == '\n' &&
                     record.find_first_not_of(' ', end) == kRecord - 1;
  return whole ? record.substr(0, end) : "";
}

}  // namespace

Ledger::Ledger(std::filesystem::path record, int callers,
               const std::function<std::shared_ptr<grpc::Channel>()>& connect, std::string plugin)
    : record_(std::move(record)), plugin_(std::move(plugin)), callers_(callers) {
  for (int i = 0; i < callers; ++i) {
    threads_.emplace_back([this, i, channel = connect()] {
      call_again_and_again(channel, std::to_string(i), callers_[i]);
    });
  }
  // Before anything happens to them.
  wait_answers(callers);
}

bool Ledger::wait_answers(int count) const {
  const int before = answered_;
  return eventually([&] { return answered_ >= before + count; });
}

void Ledger::call_again_and_again(const std::shared_ptr<grpc::Channel>& channel,
                                  const std::string& name, Caller& caller) {
  const auto stub = echo::v1::Echo::NewStub(channel);
  for (int i = 0; !stop_; ++i) {
    const std::string number = name + "-" + std::to_string(i);
    Context context;
    context.set_wait_for_ready(true);
    context.AddMetadata("plugind-plugin", plugin_);
    echo::v1::EchoMessage request;
    request.set_payload("!record " + record_.string() + " " + number);
    echo::v1::EchoMessage reply;
    const grpc::Status status = stub->Unary(&context, request, &reply);
    const bool wrong = status.ok() && reply.payload() != number;
    ++caller
          .outcomes[wrong ? number + " was answered with " + reply.payload() : outcome_of(status)];
    caller.answered.push_back(status.ok());
    if (status.ok()) ++answered_;
  }
}

void Ledger::end() {
  stop_ = true;
  threads_.clear();
}

Outcomes Ledger::outcomes() const {
  Outcomes all;
  for (const Caller& caller : callers_) {
    for (const auto& [outcome, count] : caller.outcomes) all[outcome] += count;
  }
  return all;
}

std::string Ledger::differences() const {
  std::ifstream file(record_, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::string text;
  int found = 0;
  const auto differ = [&](const std::string& what, std::size_t at) {
    constexpr std::size_t kAround = 2;  // Records before it.
    if (++found > kMostDifferences) return;
    const std::size_t begin = at < kAround * kRecord ? 0 : at - kAround * kRecord;
    text += what + "; the record there:" + records_at(bytes, begin, 2 * kAround + 1);
  };

  struct Execution {
    int times = 0;
    std::size_t last = 0;  // Where.
  };
  std::map<std::string, Execution> executed;
  for (std::size_t at = 0; at < bytes.size(); at += kRecord) {
    const std::string number = number_in(bytes.substr(at, kRecord));
    if (number.empty()) {
      differ("at byte " + std::to_string(at) + " is no record", at);
      continue;
    }
    Execution& one = executed[number];
    ++one.times;
    one.last = at;
  }
  for (std::size_t caller = 0; caller < callers_.size(); ++caller) {
    std::size_t before = 0;  // Where the caller's last record is.
    for (std::size_t i = 0; i < callers_[caller].answered.size(); ++i) {
      const std::string number = std::to_string(caller) + "-" + std::to_string(i);
      const auto found_one = executed.find(number);
      const int times = found_one == executed.end() ? 0 : found_one->second.times;
      if (times > 0) before = found_one->second.last;
      if (times > 1) differ(number + " was executed " + std::to_string(times) + " times", before);
      if (times == 0 && callers_[caller].answered[i]) {
        differ(number + " was answered and not executed", before);
      }
      if (times > 0) executed.erase(found_one);
    }
  }
  for (const auto& [number, one] : executed) {
    differ(number + " was written and not sent", one.last);
  }
  if (found > kMostDifferences) text += "and " + std::to_string(found - kMostDifferences) + " more";
  return text;
}

}  // namespace plugind::e2e
