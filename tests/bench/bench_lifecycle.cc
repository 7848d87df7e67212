// How long plugins take to start, to be restarted and to stop, as a host and an operator see it.
//
// usage: bench_lifecycle --address ADDRESS [--once SERVICE --plugin PLUGIN]
//
// With --once it is a new host that calls the plugin: it connects, and prints the milliseconds that
// its first call took, and the median of the twenty after it.  Otherwise:
//
// Connects to the daemon at ADDRESS, by libplugind for calls and by grpc++ for the control API, and
// prints "ready".  It answers each line of stdin with milliseconds; a daemon that does something
// else than it should ends it with a message on stderr and exit code 1.
//
//   first-call SERVICE PLUGIN       the first call of a plugin that has no instance
//   restart SERVICE PLUGIN          kills the plugin's process, waits for the event that it ended
//                                   and calls it again.  Answers with two figures: from the kill
//                                   until that event, and from the kill until the answer
//   call-again SERVICE PLUGIN       kills the plugin's process, and calls it until another process
//                                   has answered: from the kill until that answer
//   start|stop AT_A_TIME PLUGIN...  from the first request until the last plugin is ready, or gone
//   await-spare PLUGIN              until the plugin has a spare that is ready
//   list COUNT                      one listing of all plugins, of which there must be so many
//   quit                            ends it; so does the end of stdin
//
// SERVICE is kv or echo.
#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "plugind/plugind.h"
#include "plugind/v1/plugin_host.grpc.pb.h"
#include "tests/bench/worker.h"

namespace {

using plugind::bench::argument;
using plugind::bench::Clock;
using plugind::bench::fail;
using plugind::v1::InstanceState;
using plugind::v1::Plugin;
using plugind::v1::PluginHost;

/// Until a request must have been answered, and an event must have come.
constexpr std::chrono::seconds kAnswerBound{30};
/// What a call carries, in bytes.
constexpr std::size_t kPayload = 100;

double milliseconds_since(Clock::time_point before) {
  return std::chrono::duration<double, std::milli>(Clock::now() - before).count();
}

void bound(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + kAnswerBound);
}

/// A plugin called by libplugind, by a connection that is open already.
class Host {
 public:
  explicit Host(const std::string& address)
      : client_(pd_connect(address.c_str(), 0, nullptr), pd_close) {
    if (!client_) fail("libplugind cannot connect to " + address);
  }

  void call(const std::string& service, const std::string& plugin) {
    if (const std::string error = try_call(service, plugin); !error.empty()) {
      fail(plugin + ": " + error);
    }
  }

  /// Whether the plugin has answered; if not, it has crashed.
  bool call_or_crash(const std::string& service, const std::string& plugin) {
    const std::string error = try_call(service, plugin);
    if (!error.empty() && !error.starts_with("PLUGIN_CRASHED")) fail(plugin + ": " + error);
    return error.empty();
  }

 private:
  /// The reason and the message of what went wrong, or "".
  std::string try_call(const std::string& service, const std::string& plugin) {
    // proto.PutRequest: 1 is the key, 2 the value; echo.v1.EchoMessage: 1 is the payload.
    const std::string payload = static_cast<char>(kPayload) + std::string(kPayload, 'x');
    const bool is_kv = service == "kv";
    if (!is_kv && service != "echo") fail("no service is called \"" + service + "\": kv or echo");
    const std::string request = is_kv ? "\x0a\x05"
                                        "bench\x12" +
                                            payload
                                      : "\x0a" + payload;
    pd_error* error = nullptr;
    const std::unique_ptr<pd_reply, decltype(&pd_reply_free)> reply(
        pd_invoke(client_.get(), plugin.c_str(), is_kv ? "/proto.KV/Put" : "/echo.v1.Echo/Unary",
                  request.data(), request.size(), nullptr, &error),
        pd_reply_free);
    const std::unique_ptr<pd_error, decltype(&pd_error_free)> owned(error, pd_error_free);
    if (!reply) return std::string(pd_error_reason(error)) + ": " + pd_error_message(error);
    if (pd_reply_size(reply.get()) != (is_kv ? 0 : request.size())) {
      fail(plugin + " answered something else than it should");
    }
    return "";
  }

  std::unique_ptr<pd_client, decltype(&pd_close)> client_;
};

/// What operators ask of the daemon.
class Operator {
 public:
  explicit Operator(const std::string& address)
      : control_(PluginHost::NewStub(
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments()))) {}

  Plugin start(const std::string& name) {
    return ask<plugind::v1::StartPluginResponse>(&PluginHost::Stub::StartPlugin,
                                                 named<plugind::v1::StartPluginRequest>(name),
                                                 "cannot start " + name)
        .plugin();
  }
  Plugin stop(const std::string& name) {
    return ask<plugind::v1::StopPluginResponse>(&PluginHost::Stub::StopPlugin,
                                                named<plugind::v1::StopPluginRequest>(name),
                                                "cannot stop " + name)
        .plugin();
  }
  Plugin get(const std::string& name) {
    return ask<plugind::v1::GetPluginResponse>(&PluginHost::Stub::GetPlugin,
                                               named<plugind::v1::GetPluginRequest>(name),
                                               "cannot ask about " + name)
        .plugin();
  }
  int count() {
    return ask<plugind::v1::ListPluginsResponse>(&PluginHost::Stub::ListPlugins, {},
                                                 "cannot list the plugins")
        .plugins_size();
  }

  /// Calls `act`, and waits until the daemon tells that this instance has failed.
  void await_failure(const std::string& plugin, const std::string& instance,
                     const std::function<void()>& act) {
    grpc::ClientContext context;
    bound(context);
    plugind::v1::WatchEventsRequest request;
    request.set_plugin(plugin);
    const auto events = control_->WatchEvents(&context, request);
    events->WaitForInitialMetadata();  // from here on no event is missed
    act();
    plugind::v1::WatchEventsResponse response;
    while (events->Read(&response)) {
      const auto& event = response.event();
      if (event.instance() != instance || event.state() != plugind::v1::INSTANCE_STATE_FAILED) {
        continue;
      }
      context.TryCancel();
      return;
    }
    fail("no event tells that " + instance + " has failed: " + events->Finish().error_message());
  }

 private:
  /// A list of a thousand plugins is larger than what grpc++ takes unless told.
  static grpc::ChannelArguments arguments() {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    return arguments;
  }

  template <typename Request>
  static Request named(const std::string& name) {
    Request request;
    request.set_name(name);
    return request;
  }

  template <typename Response, typename Request>
  Response ask(grpc::Status (PluginHost::Stub::*method)(grpc::ClientContext*, const Request&,
                                                        Response*),
               const std::type_identity_t<Request>& request, const std::string& what) {
    grpc::ClientContext context;
    bound(context);
    Response response;
    const grpc::Status status = (control_.get()->*method)(&context, request, &response);
    if (!status.ok()) fail(what + ": " + status.error_message());
    return response;
  }

  std::unique_ptr<PluginHost::Stub> control_;
};

double first_call(Host& host, Operator& daemon, const std::string& service,
                  const std::string& plugin) {
  if (daemon.get(plugin).instances_size() != 0) fail(plugin + " has an instance already");
  const auto before = Clock::now();
  host.call(service, plugin);
  return milliseconds_since(before);
}

plugind::v1::Instance only_instance(Operator& daemon, const std::string& plugin) {
  const Plugin all = daemon.get(plugin);
  if (all.instances_size() != 1) fail(plugin + " has not one instance");
  return all.instances(0);
}

/// Returns the time just before.
Clock::time_point kill_process(const plugind::v1::Instance& instance) {
  const auto pid = static_cast<pid_t>(instance.pid());
  if (pid <= 1) fail(instance.id() + " has no process");
  const auto before = Clock::now();
  if (kill(pid, SIGKILL) != 0) fail(std::string("kill: ") + std::strerror(errno));
  return before;
}

double call_again(Host& host, Operator& daemon, const std::string& service,
                  const std::string& plugin) {
  const auto instance = only_instance(daemon, plugin);
  const auto killed = kill_process(instance);
  while (milliseconds_since(killed) < 1'000.0 * kAnswerBound.count()) {
    if (!host.call_or_crash(service, plugin)) continue;
    const double took = milliseconds_since(killed);
    // A process may have a last answer between its kill and its end.
    if (only_instance(daemon, plugin).id() != instance.id()) return took;
  }
  fail(plugin + " has not been restarted");
}

struct Restart {
  double ended;
  double answered;
};

Restart restart(Host& host, Operator& daemon, const std::string& service,
                const std::string& plugin) {
  const auto instance = only_instance(daemon, plugin);
  Clock::time_point killed;
  daemon.await_failure(plugin, instance.id(), [&] { killed = kill_process(instance); });
  Restart took{};
  took.ended = milliseconds_since(killed);
  host.call(service, plugin);
  took.answered = milliseconds_since(killed);
  return took;
}

/// `act` on each of the names, at most `at_a_time` at once.
double for_each(const std::vector<std::string>& names, std::size_t at_a_time,
                const std::function<void(const std::string&)>& act) {
  std::atomic<std::size_t> next{0};
  const auto before = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min(at_a_time, names.size()); ++i) {
      threads.emplace_back([&] {
        for (std::size_t mine = next++; mine < names.size(); mine = next++) act(names[mine]);
      });
    }
  }
  return milliseconds_since(before);
}

/// Until the plugin has an instance that is ready for the next host.
double await_spare(Operator& daemon, const std::string& name) {
  const auto before = Clock::now();
  while (Clock::now() - before < kAnswerBound) {
    const Plugin plugin = daemon.get(name);
    if (std::ranges::any_of(plugin.instances(), [](const auto& instance) {
          return instance.spare() && instance.state() == plugind::v1::INSTANCE_STATE_READY;
        })) {
      return milliseconds_since(before);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  fail(name + " has no spare that is ready");
}

/// What a new host waits for the answers of: its first call, and one of those after it.
int be_new_host(const std::string& address, const std::string& service, const std::string& plugin) {
  constexpr std::size_t kLater = 20;
  Host host(address);
  const auto timed = [&] {
    const auto before = Clock::now();
    host.call(service, plugin);
    return milliseconds_since(before);
  };
  const double first = timed();
  std::vector<double> later(kLater);
  std::ranges::generate(later, timed);
  std::ranges::nth_element(later, later.begin() + kLater / 2);
  std::cout << first << " " << later[kLater / 2] << std::endl;
  return 0;
}

std::string obey(Host& host, Operator& daemon, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  words >> command;
  if (command == "first-call" || command == "restart" || command == "call-again") {
    std::string service, plugin;
    if (!(words >> service >> plugin)) fail("\"" + line + "\" names no service and plugin");
    if (command == "first-call") return std::to_string(first_call(host, daemon, service, plugin));
    if (command == "call-again") return std::to_string(call_again(host, daemon, service, plugin));
    const Restart took = restart(host, daemon, service, plugin);
    return std::to_string(took.ended) + " " + std::to_string(took.answered);
  }
  if (command == "start" || command == "stop") {
    std::size_t at_a_time = 0;
    std::vector<std::string> names;
    words >> at_a_time;
    for (std::string name; words >> name;) names.push_back(name);
    if (at_a_time == 0 || names.empty()) fail("\"" + line + "\" says not how many, or which");
    const bool starts = command == "start";
    return std::to_string(for_each(names, at_a_time, [&](const std::string& name) {
      const Plugin after = starts ? daemon.start(name) : daemon.stop(name);
      if (after.instances_size() != (starts ? 1 : 0)) {
        fail(name + " has " + std::to_string(after.instances_size()) + " instances after a " +
             command);
      }
    }));
  }
  if (command == "await-spare") {
    std::string plugin;
    words >> plugin;
    return std::to_string(await_spare(daemon, plugin));
  }
  if (command == "list") {
    int expected = 0;
    if (!(words >> expected)) fail("\"" + line + "\" says not how many");
    const auto before = Clock::now();
    const int found = daemon.count();
    const double took = milliseconds_since(before);
    if (found != expected) fail("there are " + std::to_string(found) + " plugins listed");
    return std::to_string(took);
  }
  fail("cannot understand the command \"" + line + "\"");
}

}  // namespace

int main(int count, char** values) {
  const std::string address = argument(count, values, "address");
  if (const std::string service = argument(count, values, "once"); !service.empty()) {
    return be_new_host(address, service, argument(count, values, "plugin"));
  }
  Host host(address);
  Operator daemon(address);
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    std::cout << obey(host, daemon, line) << std::endl;
  }
  return 0;
}
