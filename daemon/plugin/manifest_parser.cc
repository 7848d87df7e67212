#include "daemon/plugin/manifest_parser.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "daemon/plugin/manifest_keys.h"
#include "daemon/plugin/manifest_requirement.h"
#include "daemon/plugin/manifest_stop_step.h"
#include "daemon/plugin/printable.h"
#include "daemon/plugin/toml_text.h"

namespace plugind::plugin {
namespace {

std::string in_ticks(std::string_view key) { return "`" + std::string(key) + "`"; }

std::string in_quotes(std::string_view text) { return "\"" + printable(text, 80) + "\""; }

std::string type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "text";
    case toml::node_type::integer:
      return "a number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

// Sets the fields of one manifest and collects the mistakes.
class Reader {
 public:
  explicit Reader(const AccountLookup& accounts) : accounts_(accounts) {}

  Manifest manifest;
  std::vector<Mistake> mistakes;

  void read(const toml::table& table) {
    walk(table, "");
    for (const ManifestKey& key : manifest_keys()) {
      if (key.required && !seen_.contains(key.name)) {
        mistakes.push_back({1, 1,
                            in_ticks(key.name) + " is missing; write for example " +
                                std::string(key.name) + " = " + std::string(key.example)});
      }
    }
  }

  void mistake(const toml::source_region& where, std::string what) {
    mistakes.push_back({where.begin.line, where.begin.column, std::move(what)});
  }
  bool has(std::string_view key) const { return seen_.contains(key); }
  toml::source_region where(std::string_view key) const {
    auto it = seen_.find(key);
    return it == seen_.end() ? toml::source_region{} : it->second;
  }

  /// `user` and `group`, which go together.
  void find_user() {
    if (!has("no_new_privs")) {
      manifest.no_new_privileges = has("user") || manifest.sandbox.any();
    } else if (manifest.sandbox.any() && !manifest.no_new_privileges) {
      mistake(where("no_new_privs"),
              in_ticks(manifest.sandbox.write_paths ? "sandbox.write_paths" : "sandbox.network") +
                  " needs `no_new_privs`, and sets it by itself; leave it out");
    }
    if (group_ && !has("user")) {
      return mistake(where("group"), "`group` needs `user`: write for example user = \"kv\"");
    }
    if (!user_ || (has("group") && !group_)) return;
    if (!accounts_.run_as) {
      // Without a system's accounts, numbers stand for themselves.
      if (!group_) return mistake(where("user"), "`user` needs `group` here");
      manifest.run_as.emplace();
      manifest.run_as->user = *user_;
      manifest.run_as->group = *group_;
      return;
    }
    auto found = accounts_.run_as(*user_, group_);
    if (!found) return mistake(where("user"), "`user`: " + found.error());
    manifest.run_as = std::move(*found);
  }

 private:
  void walk(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string name = prefix + std::string(key.str());
      if (const ManifestKey* known = find(name)) {
        seen_[std::string(known->name)] = key.source();
        std::visit([&](const auto& kind) { read_value(*known, kind, node); }, known->kind);
      } else if (const toml::table* inner = node.as_table(); inner && !inner->empty()) {
        walk(*inner, name + ".");
      } else if (const std::string group = name + "."; is_group(group)) {
        if (!node.is_table()) wrong_group(key, name, group);
      } else {
        unknown(key.source(), name);
      }
    }
  }

  static const ManifestKey* find(std::string_view name) {
    for (const ManifestKey& key : manifest_keys()) {
      if (key.name == name) return &key;
    }
    return nullptr;
  }
  static bool is_group(std::string_view group) {
    return std::ranges::any_of(manifest_keys(),
                               [&](const ManifestKey& key) { return key.name.starts_with(group); });
  }

  void wrong_group(const toml::key& key, const std::string& name, const std::string& group) {
    std::string members;
    for (const ManifestKey& known : manifest_keys()) {
      if (!known.name.starts_with(group)) continue;
      members += (members.empty() ? "`" : ", `") + std::string(known.name) + "`";
    }
    mistake(key.source(), "`" + name + "` is a group of keys: " + members);
  }

  void unknown(const toml::source_region& where, const std::string& name) {
    std::vector<std::string_view> names;
    for (const ManifestKey& key : manifest_keys()) names.push_back(key.name);
    std::string text = "unknown key `" + printable(name, 80) + "`";
    if (const std::string_view near = nearest(name, names); !near.empty()) {
      text += "; did you mean `" + std::string(near) + "`?";
    }
    mistake(where, std::move(text));
  }

  void wrong_type(const ManifestKey& key, const toml::node& node, std::string_view wanted) {
    mistake(node.source(), in_ticks(key.name) + " must be " + std::string(wanted) + ", not " +
                               type_name(node) + "; for example " + std::string(key.example));
  }

  std::optional<std::string> text_of(const ManifestKey& key, const toml::node& node,
                                     std::string_view wanted) {
    if (const auto* text = node.as_string()) return text->get();
    wrong_type(key, node, wanted);
    return std::nullopt;
  }

  void read_value(const ManifestKey& key, const TextKey& kind, const toml::node& node) {
    auto text = text_of(key, node, "text");
    if (!text) return;
    if (const std::string problem = kind.problem(*text); !problem.empty()) {
      return mistake(node.source(), in_ticks(key.name) + ": " + in_quotes(*text) + " " + problem);
    }
    kind.field(manifest) = std::move(*text);
  }

  void read_value(const ManifestKey& key, const ChoiceKey& kind, const toml::node& node) {
    const auto text = text_of(key, node, "text");
    if (!text || kind.set(manifest, *text)) return;
    std::string words;
    for (std::string_view word : kind.words) {
      words += (words.empty() ? "\"" : ", \"") + std::string(word) + "\"";
    }
    std::string what = in_ticks(key.name) + " is one of " + words + ", not " + in_quotes(*text);
    if (const std::string_view near = nearest(*text, kind.words); !near.empty()) {
      what += "; did you mean \"" + std::string(near) + "\"?";
    }
    mistake(node.source(), std::move(what));
  }

  // A duration or a size: text with a unit, within bounds that are written the same way.
  template <typename Kind, typename Parse>
  void read_quantity(const ManifestKey& key, const Kind& kind, const toml::node& node,
                     std::string_view wanted, Parse parse) {
    const auto text = text_of(key, node, wanted);
    if (!text) return;
    const auto value = parse(printable(*text, 80));
    if (!value) return mistake(node.source(), in_ticks(key.name) + ": " + value.error().message);
    if (*value < *parse(kind.min) || *value > *parse(kind.max)) {
      return mistake(node.source(), in_ticks(key.name) + " must be from " + std::string(kind.min) +
                                        " to " + std::string(kind.max) + ", not " + *text);
    }
    kind.field(manifest) = *value;
  }
  void read_value(const ManifestKey& key, const DurationKey& kind, const toml::node& node) {
    read_quantity(key, kind, node, "a duration with its unit, as text", parse_duration);
  }
  void read_value(const ManifestKey& key, const SizeKey& kind, const toml::node& node) {
    read_quantity(key, kind, node, "a size with its unit, as text", parse_size);
  }

  std::optional<std::uint32_t> count_of(const ManifestKey& key, const toml::node& node,
                                        std::uint32_t min, std::uint32_t max) {
    const auto* number = node.as_integer();
    if (!number) {
      wrong_type(key, node, "a whole number");
      return std::nullopt;
    }
    if (number->get() >= min && number->get() <= max) {
      return static_cast<std::uint32_t>(number->get());
    }
    mistake(node.source(), in_ticks(key.name) + " must be from " + std::to_string(min) + " to " +
                               std::to_string(max) + ", not " + std::to_string(number->get()));
    return std::nullopt;
  }
  void read_value(const ManifestKey& key, const CountKey& kind, const toml::node& node) {
    if (auto count = count_of(key, node, kind.min, kind.max)) kind.field(manifest) = *count;
  }

  template <typename Kind>
  const toml::array* items_of(const ManifestKey& key, const Kind& kind, const toml::node& node,
                              std::string_view wanted) {
    const toml::array* items = node.as_array();
    if (!items) {
      wrong_type(key, node, wanted);
    } else if (items->size() < kind.min_items || items->size() > kind.max_items) {
      mistake(node.source(), in_ticks(key.name) + " takes " + std::to_string(kind.min_items) +
                                 " to " + std::to_string(kind.max_items) + " items, not " +
                                 std::to_string(items->size()) + "; for example " +
                                 std::string(key.example));
      items = nullptr;
    }
    return items;
  }

  void read_value(const ManifestKey& key, const TextListKey& kind, const toml::node& node) {
    const toml::array* items = items_of(key, kind, node, "a list of text");
    if (!items) return;
    std::vector<std::string> result;
    std::set<std::string_view> known;
    for (const toml::node& item : *items) {
      auto text = text_of(key, item, "a list of text");
      if (!text) continue;
      if (const std::string problem = kind.problem(*text); !problem.empty()) {
        mistake(item.source(), in_ticks(key.name) + ": " + in_quotes(*text) + " " + problem);
      } else if (kind.unique && !known.insert(item.as_string()->get()).second) {
        mistake(item.source(), in_ticks(key.name) + ": " + in_quotes(*text) + " stands twice");
      }
      result.push_back(std::move(*text));
    }
    kind.field(manifest) = std::move(result);
  }

  void read_value(const ManifestKey& key, const CountListKey& kind, const toml::node& node) {
    const toml::array* items = items_of(key, kind, node, "a list of whole numbers");
    if (!items) return;
    std::vector<std::uint32_t> result;
    for (const toml::node& item : *items) {
      if (auto count = count_of(key, item, 0, INT32_MAX)) result.push_back(*count);
    }
    kind.field(manifest) = std::move(result);
  }

  void read_value(const ManifestKey& key, const FlagKey& kind, const toml::node& node) {
    const auto* flag = node.as_boolean();
    if (!flag) return wrong_type(key, node, "true or false");
    kind.field(manifest) = flag->get();
  }

  void read_value(const ManifestKey& key, const PercentKey& kind, const toml::node& node) {
    const auto text = text_of(key, node, "a percentage, as text");
    if (!text) return;
    std::uint32_t value = 0;
    const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (problem != std::errc{} || std::string_view(end, text->data() + text->size()) != "%" ||
        value < kind.min || value > kind.max) {
      return mistake(node.source(), in_ticks(key.name) + " must be from \"" +
                                        std::to_string(kind.min) + "%\" to \"" +
                                        std::to_string(kind.max) + "%\", not " + in_quotes(*text));
    }
    kind.field(manifest) = value;
  }

  void read_value(const ManifestKey& key, const ModeKey& kind, const toml::node& node) {
    const auto text = text_of(key, node, "octal digits, as text");
    if (!text) return;
    std::uint32_t value = 0;
    const char* const last = text->data() + text->size();
    const auto [end, problem] = std::from_chars(text->data(), last, value, 8);
    if (problem != std::errc{} || end != last || value > 0777) {
      return mistake(
          node.source(),
          in_ticks(key.name) + " must be octal from \"0000\" to \"0777\", not " + in_quotes(*text));
    }
    kind.field(manifest) = value;
  }

  void read_value(const ManifestKey& key, const RunAsKey& kind, const toml::node& node) {
    auto account = account_of(key, kind, node, "a name or a number");
    if (account) (kind.noun == "user" ? user_ : group_) = std::move(*account);
  }

  template <typename Kind>
  std::optional<Account> account_of(const ManifestKey& key, const Kind& kind,
                                    const toml::node& item, std::string_view wanted) {
    if (const auto* number = item.as_integer()) {
      // The highest one means "none" to the system.
      if (number->get() >= 0 && number->get() < UINT32_MAX) {
        return Account{static_cast<std::uint32_t>(number->get()), ""};
      }
      mistake(item.source(), in_ticks(key.name) + " must be from 0 to 4294967294, not " +
                                 std::to_string(number->get()));
      return std::nullopt;
    }
    const auto* text = item.as_string();
    if (!text) {
      wrong_type(key, item, wanted);
      return std::nullopt;
    }
    const auto& name = text->get();
    const auto& lookup = kind.lookup(accounts_);
    // A C string to the system, which would take what stands before the NUL.
    const bool sane = !name.empty() && name.find('\0') == name.npos;
    const std::string noun(kind.noun);
    const auto id =
        sane && lookup ? lookup(name) : std::unexpected("is no " + noun + " of this system");
    if (id) return Account{*id, name};
    std::string what = in_ticks(key.name) + ": " + in_quotes(name) + " " + id.error();
    if (!name.empty() && name.find_first_not_of("0123456789") == name.npos) {
      what += "; write a number without quotes";
    }
    mistake(item.source(), std::move(what));
    return std::nullopt;
  }

  void read_value(const ManifestKey& key, const AccountListKey& kind, const toml::node& node) {
    const toml::array* items = node.as_array();
    if (!items) return wrong_type(key, node, "a list of names and numbers");
    if (items->size() > kind.max_items) {
      return mistake(node.source(), in_ticks(key.name) + " takes at most " +
                                        std::to_string(kind.max_items) + " items");
    }
    std::vector<Account> result;
    for (const toml::node& item : *items) {
      if (auto account = account_of(key, kind, item, "a list of names and numbers")) {
        result.push_back(std::move(*account));
      }
    }
    kind.field(manifest) = std::move(result);
    manifest.access.everybody = false;
  }

  void read_value(const ManifestKey& key, const TextTableKey& kind, const toml::node& node) {
    const toml::table* table = node.as_table();
    if (!table) return wrong_type(key, node, "a table of text");
    if (table->size() > kind.max_items) {
      return mistake(node.source(), in_ticks(key.name) + " takes at most " +
                                        std::to_string(kind.max_items) + " items");
    }
    for (const auto& [name, item] : *table) {
      auto text = text_of(key, item, "a table of text");
      if (!text) continue;
      if (const std::string problem = kind.problem(name.str(), *text); !problem.empty()) {
        mistake(name.source(), in_ticks(key.name) + ": " + in_quotes(name.str()) + ": " + problem);
        continue;
      }
      kind.field(manifest)[std::string(name.str())] = std::move(*text);
    }
  }

  template <typename Kind, typename Read>
  void read_tables(const ManifestKey& key, const Kind& kind, const toml::node& node, Read read) {
    const toml::array* items = node.as_array();
    if (!items) return wrong_type(key, node, "a list of tables");
    if (items->size() > kind.max_items) {
      return mistake(node.source(), in_ticks(key.name) + " takes at most " +
                                        std::to_string(kind.max_items) + " items");
    }
    for (const toml::node& item : *items) {
      if (const toml::table* table = item.as_table()) {
        read(*table);
      } else {
        wrong_type(key, item, "a list of tables");
      }
    }
  }
  void read_value(const ManifestKey& key, const RequirementsKey& kind, const toml::node& node) {
    read_tables(key, kind, node, [&](const toml::table& table) {
      kind.field(manifest).push_back(read_requirement(table, mistakes));
    });
  }
  void read_value(const ManifestKey& key, const StopStepsKey& kind, const toml::node& node) {
    auto& steps = kind.field(manifest).emplace();
    read_tables(key, kind, node, [&](const toml::table& table) {
      if (const auto step = read_stop_step(table, mistakes)) steps.push_back(*step);
    });
  }

  const AccountLookup& accounts_;
  std::optional<Account> user_, group_;
  std::map<std::string, toml::source_region, std::less<>> seen_;
};

/// Of a list that the plugin may write to.
void check_write_paths(Reader& reader, const std::vector<std::string>& paths) {
  // Relative ones are relative to the same directory, whichever that is.
  const auto normal = [](const std::string& path) {
    std::string text = ("/relative" / std::filesystem::path(path)).lexically_normal().string();
    if (text.ends_with('/')) text.pop_back();
    return text;
  };
  for (const std::string& path : paths) {
    for (const std::string& above : paths) {
      if (!normal(path).starts_with(normal(above) + "/")) continue;
      return reader.mistake(reader.where("sandbox.write_paths"),
                            "`sandbox.write_paths` names " + path + ", which is below " + above +
                                " and could be made a link to another place; leave it out");
    }
  }
}

// What no single key can tell.
void check_whole(Reader& reader) {
  Manifest& m = reader.manifest;
  reader.find_user();
  if (!m.command.empty() && m.command.front().empty()) {
    reader.mistake(reader.where("command"), "`command`: the program is empty");
  }
  if (m.restart_backoff > m.restart_backoff_max) {
    reader.mistake(
        reader.where(reader.has("restart.backoff_max") ? "restart.backoff_max" : "restart.backoff"),
        "`restart.backoff` is longer than `restart.backoff_max`");
  }
  if (m.calls_timeout_max.count() > 0 && m.calls_timeout > m.calls_timeout_max) {
    reader.mistake(reader.where("calls.timeout"),
                   "`calls.timeout` is longer than `calls.timeout_max`");
  }
  if (reader.has("stop.steps") && reader.has("stop.grace")) {
    reader.mistake(reader.where("stop.grace"),
                   "`stop.grace` is the time after SIGTERM, and `stop.steps` gives each step its "
                   "own; leave one of them out");
  }
  if (m.dialect == DialectKind::kNative && m.stop_steps &&
      std::ranges::any_of(*m.stop_steps, [](const StopStep& step) { return !step.signal; })) {
    reader.mistake(reader.where("stop.steps"),
                   "`stop.steps`: \"ask\" needs dialect = \"go-plugin\": the native dialect has no "
                   "request to end but signals");
  }
  for (std::string_view key :
       {"go-plugin.cookie_key", "go-plugin.cookie_value", "go-plugin.protocol_versions"}) {
    if (reader.has(key) && m.dialect != DialectKind::kGoPlugin) {
      reader.mistake(reader.where(key), "`" + std::string(key) + "` needs dialect = \"go-plugin\"");
    }
  }
  if (reader.has("go-plugin.cookie_key") != reader.has("go-plugin.cookie_value")) {
    reader.mistake(reader.where(reader.has("go-plugin.cookie_key") ? "go-plugin.cookie_key"
                                                                   : "go-plugin.cookie_value"),
                   "`go-plugin.cookie_key` and `go-plugin.cookie_value` go together");
  }
  const ResourceLimits& limits = m.limits;
  if (limits.required && limits.memory == 0 && limits.cpu == 0 && limits.processes == 0 &&
      limits.open_files == 0) {
    reader.mistake(reader.where("limits.required"),
                   "`limits.required` needs one of the limits, such as `limits.memory`");
  }
  if (m.env.contains(m.go_plugin.cookie_key)) {
    reader.mistake(reader.where("go-plugin.cookie_key"),
                   "`go-plugin.cookie_key` is set in `env`, too; leave one of them out");
  }
  if (!reader.has("scope")) {
    m.scope = m.dialect == DialectKind::kGoPlugin ? Scope::kHost : Scope::kShared;
  }
  if (m.sandbox.write_paths) check_write_paths(reader, *m.sandbox.write_paths);
  if (m.instances > 1 && m.scope != Scope::kShared) {
    reader.mistake(reader.where("instances"), "`instances` needs scope = \"shared\"");
  }
  if (m.spares > 0 && m.scope == Scope::kShared) {
    reader.mistake(reader.where("spares"),
                   "`spares` needs scope = \"host\" or scope = \"connection\"");
  }
  if (m.spares > m.max_instances) {
    reader.mistake(reader.where("spares"), "`spares` is more than `max_instances` allows");
  }
  if (m.start_timeout_max.count() > 0 && m.start_timeout_max < m.start_timeout) {
    reader.mistake(reader.where("start.timeout_max"),
                   "`start.timeout_max` is less than `start.timeout`");
  }
}

}  // namespace

std::expected<ParsedManifest, std::vector<Mistake>> parse_manifest_text(
    std::string_view text, const std::filesystem::path& file, const AccountLookup& accounts) {
  if (text.size() > kMaxManifestBytes) {
    return std::unexpected(std::vector<Mistake>{{1, 1, "the file is larger than 1 MiB"}});
  }
  const auto parsed = parse_toml(text);
  if (!parsed) return std::unexpected(std::vector<Mistake>{parsed.error()});
  Reader reader(accounts);
  reader.read(*parsed);
  check_whole(reader);
  if (!reader.mistakes.empty()) {
    std::ranges::stable_sort(reader.mistakes, {},
                             [](const Mistake& m) { return std::pair(m.line, m.column); });
    return std::unexpected(std::move(reader.mistakes));
  }

  Manifest& manifest = reader.manifest;
  std::error_code
      ignored;  // Only the working directory's absence can fail; the path stays as it is.
  const std::filesystem::path absolute = std::filesystem::absolute(file, ignored);
  manifest.file = (absolute.empty() ? file : absolute).lexically_normal();
  const std::filesystem::path directory = manifest.file.parent_path();
  std::string& program = manifest.command.front();
  if (program.find('/') != program.npos)
    program = (directory / program).lexically_normal().string();
  for (Requirement& one : manifest.requirements) {
    if (!one.file.empty()) one.file = (directory / one.file).lexically_normal().string();
    if (one.command.empty() || one.command.front().find('/') == std::string::npos) continue;
    one.command.front() = (directory / one.command.front()).lexically_normal().string();
  }
  if (manifest.sandbox.write_paths) {
    for (std::string& path : *manifest.sandbox.write_paths) {
      path = (directory / path).lexically_normal().string();
    }
  }
  if (!manifest.working_directory.empty()) {
    manifest.working_directory =
        (directory / manifest.working_directory).lexically_normal().string();
  }
  const toml::source_position name = reader.where("name").begin;
  return ParsedManifest{std::move(manifest), name.line, name.column};
}

std::string describe(const Mistake& mistake, const std::filesystem::path& file) {
  return printable(file.string(), 4096) + ":" + std::to_string(mistake.line) + ":" +
         std::to_string(mistake.column) + ": " + mistake.text;
}

}  // namespace plugind::plugin
