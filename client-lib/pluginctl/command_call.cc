#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>
#include <vector>

#include "client-lib/pluginctl/commands.h"
#include "client-lib/pluginctl/dynamic_call.h"
#include "client-lib/pluginctl/metadata.h"
#include "client-lib/pluginctl/schema.h"

namespace plugind::pluginctl {
namespace {

struct CallOptions {
  std::string plugin;
  std::string method;
  std::optional<std::string> data;
  std::vector<std::string> headers;
  std::string proto;
  std::vector<std::string> directories;
};

Result<> call(Session& session, const CallOptions& options) {
  const auto name = parse_method(options.method);
  if (!name) return std::unexpected(name.error());
  auto metadata = parse_metadata(options.headers);
  if (!metadata) return std::unexpected(metadata.error());
  metadata->emplace_back("plugind-plugin", options.plugin);

  const auto start = [&](const std::string& method) {
    auto context = session.context(std::nullopt);
    add_metadata(*metadata, *context);
    return std::make_unique<RawCall>(session.channel(), method, std::move(context));
  };

  auto schema = options.proto.empty()
                    ? Result<std::unique_ptr<Schema>>(reflection_schema(start, options.plugin))
                    : file_schema(options.proto, options.directories);
  if (!schema) return std::unexpected(schema.error());
  const auto method = (*schema)->find(*name);
  if (!method) return std::unexpected(method.error());

  auto input = JsonInput::open(options.data, (*method)->client_streaming());
  if (!input) return std::unexpected(input.error());

  DynamicCall dynamic;
  dynamic.method = *method;
  dynamic.style = session.json() ? JsonStyle::kLine : JsonStyle::kPretty;
  dynamic.start = [&] { return start(name->path()); };
  dynamic.on_reply = [](const std::string& json) { std::cout << json << std::endl; };
  return make_call(dynamic, std::move(*input));
}

}  // namespace

void add_call(CLI::App& app, const Choose& choose) {
  auto options = std::make_shared<CallOptions>();
  CLI::App* command = app.add_subcommand(
      "call",
      "Call a method of a plugin with JSON.  The method is looked up by the plugin's server "
      "reflection, or in a .proto file.");
  command->add_option("NAME", options->plugin, "NAME or NAME@VERSION of the plugin")->required();
  command->add_option("METHOD", options->method, "package.Service/Method")->required();
  command
      ->add_option("-d,--data", options->data,
                   "The request as JSON, or @FILE to read it there, or @- for standard input, "
                   "which is also read without -d unless it is a terminal.  A method that takes a "
                   "stream gets JSON values one after another.")
      ->option_text("JSON");
  command->add_option("-H,--header", options->headers, "Request metadata, as often as needed")
      ->option_text("NAME:VALUE")
      ->allow_extra_args(false);
  command->add_option("--proto", options->proto, "The .proto file that describes the method")
      ->option_text("FILE");
  command
      ->add_option("-I,--include", options->directories,
                   "Where the imports of --proto are, as often as needed")
      ->option_text("DIR")
      ->allow_extra_args(false);
  command->callback([options, choose] {
    choose([options](Session& session) { return call(session, *options); });
  });
}

}  // namespace plugind::pluginctl
