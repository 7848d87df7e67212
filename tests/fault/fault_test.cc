#include "tests/fault/fault_test.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <system_error>

namespace plugind::e2e {

namespace fs = std::filesystem;

const std::string kWirePlugin = WIRE_PLUGIN;

namespace {

/// "instances/12/go.sock" is "instances/N/go.sock".
std::string without_numbers(const std::string& path) {
  std::string result;
  for (const char c : path) {
    const bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (!digit) result += c;
    if (digit && !result.ends_with('N')) result += 'N';
  }
  return result;
}

std::vector<std::string> below(const fs::path& top, bool only_directories) {
  std::vector<std::string> found;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(top, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code gone;
    if (only_directories && !it->is_directory(gone)) continue;
    found.push_back(without_numbers(it->path().lexically_relative(top)));
  }
  std::ranges::sort(found);
  return found;
}

void add_more(const char* what, const std::vector<std::string>& before,
              const std::vector<std::string>& now, std::string& text) {
  std::vector<std::string> more;
  std::ranges::set_difference(now, before, std::back_inserter(more));
  for (const std::string& one : more) text += std::string(what) + " " + one + "\n";
}

}  // namespace

std::string Stock::more_than(const Stock& before) const {
  std::string text;
  add_more("process", before.processes, processes, text);
  add_more("file", before.files, files, text);
  add_more("control group", before.cgroups, cgroups, text);
  if (descriptors > before.descriptors) {
    text += std::to_string(descriptors) + " descriptors, before " +
            std::to_string(before.descriptors) + "\n";
  }
  return text;
}

std::string outcome_of(const grpc::Status& status) {
  if (status.ok()) return "OK";
  const Told failure = told(status);
  return "status " + std::to_string(failure.code) + " " +
         (failure.reason.empty() ? status.error_message() : failure.reason);
}

Stock FaultTest::stock() const {
  Stock result;
  for (const pid_t pid : directory_.processes()) {
    // "4711 (name)"
    const std::string text = testing::describe({pid});
    result.processes.push_back(text.substr(text.find('(')));
  }
  std::ranges::sort(result.processes);
  result.files = below(directory_.runtime(), false);
  if (!cgroup_.empty()) result.cgroups = below(cgroup_, true);
  result.descriptors = testing::descriptors_of(daemon_->pid());
  return result;
}

void FaultTest::take_stock() {
  // The connections of calls before may not have ended: the one that asks is the only one.
  ASSERT_TRUE(eventually([this] { return daemon_info().connections() == 1; }));
  // It has ended, too, when the number stays the same without it.
  std::size_t last = 0;
  ASSERT_TRUE(eventually([&] {
    const std::size_t now = testing::descriptors_of(daemon().pid());
    return std::exchange(last, now) == now;
  }));
  before_ = stock();
}

std::int64_t FaultTest::pid_of(const std::string& plugin) const {
  const v1::Plugin status = get_plugin(plugin);
  return status.instances_size() == 1 ? status.instances(0).pid() : 0;
}

grpc::Status FaultTest::faulty_call(const std::shared_ptr<grpc::Channel>& channel,
                                    const std::string& fault, const std::string& plugin) const {
  Context context;
  context.AddMetadata("plugind-plugin", plugin);
  context.AddMetadata("x-fault", fault);
  EchoMessage reply;
  return Echo::NewStub(channel)->Unary(&context, {}, &reply);
}

void FaultTest::TearDown() {
  if (before_ && daemon_->process().running()) {
    std::string more;
    EXPECT_TRUE(eventually([&] {
      more = stock().more_than(*before_);
      return more.empty();
    })) << "more than before:\n"
        << more;
  }
  DaemonTest::TearDown();
}

Callers::Callers(int threads, const std::function<std::shared_ptr<grpc::Channel>()>& connect,
                 std::string plugin)
    : plugin_(std::move(plugin)), outcomes_(threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back(
        [this, i, channel = connect()] { call_again_and_again(channel, outcomes_[i]); });
  }
  // Before anything happens to them.
  eventually([&] { return calls_ >= threads; });
}

void Callers::call_again_and_again(const std::shared_ptr<grpc::Channel>& channel,
                                   Outcomes& outcomes) {
  const auto stub = echo::v1::Echo::NewStub(channel);
  for (int i = 0; !stop_; ++i) {
    Context context;
    context.AddMetadata("plugind-plugin", plugin_);
    echo::v1::EchoMessage request;
    request.set_payload("call " + std::to_string(i));
    echo::v1::EchoMessage reply;
    const grpc::Status status = stub->Unary(&context, request, &reply);
    const bool wrong = status.ok() && reply.payload() != request.payload();
    ++outcomes[wrong ? request.payload() + " was answered with " + reply.payload()
                     : outcome_of(status)];
    ++calls_;
  }
}

Outcomes Callers::end() {
  stop_ = true;
  threads_.clear();
  Outcomes all;
  for (const Outcomes& one : outcomes_) {
    for (const auto& [outcome, count] : one) all[outcome] += count;
  }
  return all;
}

}  // namespace plugind::e2e
