// Where a call goes, by its header fields.  The checks are a second, naive reading of the rules.
//
// An input is text: its first line is the plugin of the plugin socket ("" for the front socket),
// each further line a header field "NAME: VALUE".
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/forward/router.h"
#include "daemon/forward/status_reply.h"
#include "daemon/plugin/printable.h"
#include "daemon/plugin/supervisor.h"
#include "proto/wire/base64.h"
#include "proto/wire/status_details.h"
#include "tests/fuzz/input.h"
#include "tests/support/fake_connection.h"
#include "tests/support/fake_dialect.h"
#include "tests/support/fake_process.h"
#include "tests/support/manual_clock.h"

namespace {

using namespace plugind;

struct Registered {
  const char* name;
  const char* version;
  std::vector<std::string> services;
  bool go_plugin = false;
};

const std::vector<Registered>& registered() {
  static const std::vector<Registered> plugins{
      {"kv", "1.2.0", {"proto.KV", "shared.Both"}},
      {"kv-2", "", {"shared.Both", "Plain"}},
      {"a", "1", {"a.b.C", "plugind.v1x.No"}},
      {"b.c_d", "2@3", {}},
      {"go", "", {"Plain"}, true},
      {"go-2", "1", {}, true},
  };
  return plugins;
}

// Made once: no call changes it.
class World {
 public:
  World() {
    std::vector<plugin::Manifest> manifests;
    for (const Registered& one : registered()) {
      plugin::Manifest& manifest = manifests.emplace_back();
      manifest.name = one.name;
      manifest.version = one.version;
      manifest.command = {"/bin/true"};
      manifest.services = one.services;
      if (one.go_plugin) manifest.dialect = plugin::DialectKind::kGoPlugin;
    }
    supervisor_.apply(std::move(manifests));
  }
  const forward::Router& router() const { return router_; }

 private:
  boost::asio::io_context loop_;
  testing::ManualClock clock_{loop_};
  testing::FakeProcessFactory processes_;
  testing::FakeConnector connector_{clock_};
  testing::FakeDialect dialect_;
  plugin::Supervisor supervisor_{
      plugin::Environment{.loop = loop_.get_executor(),
                          .clock = clock_,
                          .processes = processes_,
                          .connector = connector_,
                          .dialects = {{plugin::DialectKind::kNative, &dialect_},
                                       {plugin::DialectKind::kGoPlugin, &dialect_}},
                          .runtime_dir = "/nonexistent"}};
  forward::Router router_{supervisor_};
};

// What the rules say: a plugin's name, "" for the daemon's own services, or no answer.
struct Expected {
  bool found = false;
  std::string name;
  Reason reason = Reason::kPluginNotFound;
};

Expected expect_name(std::string_view name) {
  for (const Registered& one : registered()) {
    const std::string plain = one.name;
    if (name == plain || name == plain + "@" || name == plain + "@" + one.version) {
      return {true, plain};
    }
  }
  return {};
}

// `used` is the go-plugin plugin that the connection calls, "" when it is not a host of go-plugin.
Expected expect(const std::string& bound, std::string_view named, std::string_view path,
                const std::string& used) {
  if (!bound.empty()) return expect_name(bound);
  if (!named.empty()) return expect_name(named);
  std::string service;
  if (path.starts_with('/')) {
    const std::size_t slash = path.find('/', 1);
    if (slash != path.npos && slash + 1 < path.size()) service = path.substr(1, slash - 1);
  }
  const bool health = service == "grpc.health.v1.Health";
  if ((health && !used.empty()) || service == "plugin.GRPCStdio" ||
      service == "plugin.GRPCBroker" || service == "plugin.GRPCController") {
    return used.empty() ? Expected{false, "", Reason::kServiceAmbiguous} : Expected{true, used};
  }
  if (health || service.starts_with("plugind.v1.") || service.starts_with("grpc.reflection.")) {
    return {true, ""};
  }
  Expected result{false, "", Reason::kServiceNotFound};
  for (const Registered& one : registered()) {
    for (const std::string& declared : one.services) {
      if (declared != service) continue;
      if (result.found) return {false, "", Reason::kServiceAmbiguous};
      result = {true, one.name};
    }
  }
  return result;
}

// What the caller gets of an error: a status that every gRPC stack takes.
void check_status(const Error& error) {
  REQUIRE(fuzz::is_fit_for_messages(error.message));
  wire::HeaderList headers;
  forward::add_status(headers, error);
  std::size_t size = 0;
  for (std::size_t i = 0; i < headers.count(); ++i) {
    size += headers[i].name.size() + headers[i].value.size() + 32;
  }
  REQUIRE(size <= 8'192);  // grpc-java's and grpc-go's bound for all metadata.
  const std::string_view text = headers.get("grpc-status-details-bin");
  std::vector<std::uint8_t> bytes(wire::base64_decoded_bound(text.size()));
  const auto decoded = wire::base64_decode(text, bytes.data());
  REQUIRE(decoded);
  const auto details = wire::decode_status_details(bytes.data(), *decoded, "plugind");
  REQUIRE(details && details->domain == "plugind" && details->reason == reason_name(error.reason));
  REQUIRE(fuzz::is_fit_for_messages(details->message));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto line = [&] {
    const std::string_view result = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(result.size() + 1, rest.size()));
    return result;
  };
  const std::string bound(line());
  wire::HeaderList headers;
  std::string_view named, path;
  bool has_named = false, has_path = false;
  while (!rest.empty()) {
    const std::string_view field = line();
    const std::size_t colon = field.find(": ");
    if (colon == field.npos) continue;
    const std::string_view name = field.substr(0, colon), value = field.substr(colon + 2);
    REQUIRE(headers.add(name, value));
    if (name == "plugind-plugin" && !std::exchange(has_named, true)) named = value;
    if (name == ":path" && !std::exchange(has_path, true)) path = value;
  }
  for (const char* used : {"", "go-2"}) {
    forward::GoPluginUse use;
    if (*used != 0) {
      use.is_host();
      use.calls(used);
    }
    const auto target = world.router().route(bound, headers, use);
    const Expected expected = expect(bound, named, path, used);
    REQUIRE(target.has_value() == expected.found);
    if (target) {
      REQUIRE((target->plugin ? target->plugin->name() : "") == expected.name);
    } else {
      REQUIRE(target.error().reason == expected.reason);
      check_status(target.error());
    }
  }
  // Other errors quote what plugins print, in messages of any length.
  check_status(
      make_error(Reason::kPluginCrashed,
                 plugin::printable({reinterpret_cast<const char*>(data), size}, size, true)));
  return 0;
}
