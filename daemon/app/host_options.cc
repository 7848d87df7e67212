#include "daemon/app/host_options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <string_view>

#include "daemon/platform/accounts.h"

namespace plugind::app {

namespace {

using Wrong = std::unexpected<std::string>;

Wrong wrong(std::string_view option, const std::string& what) {
  return Wrong("--" + std::string(option) + ": " + what);
}

std::optional<std::uint32_t> number_of(const std::string& text, int base = 10) {
  std::uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, number, base);
  if (text.empty() || problem != std::errc() || rest != end) return std::nullopt;
  return number;
}

std::expected<std::uint32_t, std::string> count(std::string_view option, const std::string& text,
                                                std::uint32_t min, std::uint32_t max) {
  const auto number = number_of(text);
  if (number && *number >= min && *number <= max) return *number;
  return wrong(option, "must be from " + std::to_string(min) + " to " + std::to_string(max) +
                           ", not " + text);
}

std::expected<std::uint32_t, std::string> mode_of(std::string_view option,
                                                  const std::string& text) {
  const auto mode = number_of(text, 8);
  if (mode && (*mode & ~0666u) == 0 && (*mode & 0600u) == 0600u) return *mode;
  return wrong(option, "must be an octal mode such as 0600, 0660 or 0666, not " + text +
                           ": sockets are read and written");
}

/// As chown and systemd take one: a name, else a gid.
std::expected<plugin::Account, std::string> group_of(std::string_view option,
                                                     const std::string& text) {
  const auto id = platform::group_id(text);
  if (id) return plugin::Account{*id, text};
  if (const auto number = number_of(text); number && *number != UINT32_MAX) {
    return plugin::Account{*number, ""};
  }
  return wrong(option, "\"" + text + "\" " + id.error());
}

/// A duration or a size: `parse` is of manifests, and so are unit and range.
template <class Value>
std::expected<Value, std::string> quantity(std::string_view option, const std::string& text,
                                           std::expected<Value, Error> (*parse)(std::string_view),
                                           std::string_view min, std::string_view max) {
  const auto value = parse(text);
  if (!value) return wrong(option, value.error().message);
  if (*value < *parse(min) || *value > *parse(max)) {
    return wrong(option,
                 "must be from " + std::string(min) + " to " + std::string(max) + ", not " + text);
  }
  return *value;
}

}  // namespace

void HostOptionTexts::add_to(CLI::App& app) {
  app.add_option("--max-concurrent-streams", max_streams_,
                 "Calls that one connection of a host may have at a time, 1 to 1000000")
      ->type_name("COUNT")
      ->capture_default_str();
  app.add_option("--max-metadata-size", max_metadata_,
                 "Metadata of a call, of a reply or of its end, 16KiB to 1MiB; 32 bytes are added "
                 "for each field")
      ->type_name("SIZE")
      ->capture_default_str();
  app.add_option("--connection-idle-timeout", idle_timeout_,
                 "Close a host's connection that had no call for so long, up to 24h. 0s: never")
      ->type_name("DURATION")
      ->capture_default_str();
  app.add_option("--max-connections", max_connections_,
                 "Connections of hosts at a time, 32 to 1000000; fewer where the system's limit on "
                 "open files leaves no room. The last 16 are for root and the daemon's user")
      ->type_name("COUNT")
      ->capture_default_str();
  app.add_option("--max-connections-per-user", max_connections_per_user_,
                 "Of them, those of each user but root and the daemon's, 1 to 1000000")
      ->type_name("COUNT")
      ->capture_default_str();
  app.add_option(
         "--admin-group", admin_group_,
         "Group whose members may start, stop, restart, upgrade, reload and use the doctor, "
         "as root and the daemon's user may: a name or a gid")
      ->type_name("GROUP");
  app.add_option("--socket-mode", socket_mode_,
                 "Mode of the daemon's and the plugins' sockets: who may write may connect. "
                 "Default: 0600; 0660 with --socket-group")
      ->type_name("MODE");
  app.add_option("--socket-group", socket_group_,
                 "Group of the daemon's and the plugins' sockets: a name or a gid")
      ->type_name("GROUP");
}

HostOptions HostOptionTexts::parse(std::vector<std::string>& mistakes) const {
  HostOptions options;
  const auto take = [&](auto& target, const auto& value) {
    if (value) {
      target = static_cast<std::remove_reference_t<decltype(target)>>(*value);
    } else {
      mistakes.push_back(value.error());
    }
  };
  take(options.limits.max_concurrent_streams,
       count("max-concurrent-streams", max_streams_, 1, 1'000'000));
  take(options.limits.max_header_block,
       quantity("max-metadata-size", max_metadata_, plugin::parse_size, "16KiB", "1MiB"));
  take(options.idle_timeout,
       quantity("connection-idle-timeout", idle_timeout_, plugin::parse_duration, "0s", "24h"));
  take(options.max_connections, count("max-connections", max_connections_, 32, 1'000'000));
  take(options.max_connections_per_user,
       count("max-connections-per-user", max_connections_per_user_, 1, 1'000'000));
  if (!admin_group_.empty()) {
    take(options.admin_group, group_of("admin-group", admin_group_));
  }
  if (!socket_group_.empty()) {
    std::optional<plugin::Account> group;
    take(group, group_of("socket-group", socket_group_));
    if (group) options.socket_group = group->id;
    options.socket_mode = 0660;
  }
  if (!socket_mode_.empty()) take(options.socket_mode, mode_of("socket-mode", socket_mode_));
  return options;
}

platform::Reach reach_of(const HostOptions& options) {
  return (options.socket_mode & 066) != 0 ? platform::Reach::kOthers : platform::Reach::kOwner;
}

namespace {

std::expected<plugin::RunAs, std::string> look_up_user(
    const plugin::Account& user, const std::optional<plugin::Account>& group) {
  plugin::RunAs result;
  result.user = user;
  const auto entry = platform::user_entry(user.id);
  if (entry) {
    result.login = entry->name;
    result.home = entry->home;
    result.shell = entry->shell;
  } else if (!group) {
    return std::unexpected("uid " + std::to_string(user.id) + " " + entry.error() +
                           ", so its group is not known; add `group`");
  }
  result.group = group.value_or(plugin::Account{entry ? entry->gid : 0, ""});
  if (!entry) {
    result.groups = {result.group.id};
    return result;
  }
  auto groups = platform::groups_of(entry->name, result.group.id);
  if (!groups) return std::unexpected("\"" + entry->name + "\" " + groups.error());
  result.groups = std::move(*groups);
  return result;
}

}  // namespace

plugin::AccountLookup account_lookup() {
  return {.user = platform::user_id, .group = platform::group_id, .run_as = look_up_user};
}

}  // namespace plugind::app
