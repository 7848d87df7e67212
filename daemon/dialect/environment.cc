#include "daemon/dialect/environment.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace plugind::dialect {
namespace {

constexpr const char* kInherited[] = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "LANG",
    "LANGUAGE", "LC_ALL", "LC_ADDRESS", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION",
    "LC_MEASUREMENT", "LC_MESSAGES", "LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER",
    "LC_TELEPHONE", "LC_TIME",
    // Without these nothing runs on Windows; elsewhere nobody sets them.
    "SystemRoot", "SystemDrive", "PATHEXT", "ComSpec", "TEMP", "TMP", "USERPROFILE", "APPDATA",
    "LOCALAPPDATA"};

constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";
constexpr char kPathSeparator = std::filesystem::path::preferred_separator == '/' ? ':' : ';';

bool is_executable(const std::filesystem::path& file) {
  std::error_code problem;
  const std::filesystem::file_status status = std::filesystem::status(file, problem);
  constexpr auto kAnyExecute = std::filesystem::perms::owner_exec |
                               std::filesystem::perms::group_exec |
                               std::filesystem::perms::others_exec;
  return !problem && std::filesystem::is_regular_file(status) &&
         (status.permissions() & kAnyExecute) != std::filesystem::perms::none;
}

}  // namespace

std::span<const char* const> inherited_names() { return kInherited; }

std::optional<std::string> daemon_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return value;
}

Variables base_environment(const Lookup& lookup) {
  Variables variables;
  for (const char* name : kInherited) {
    if (auto value = lookup(name)) variables[name] = std::move(*value);
  }
  return variables;
}

void inherit(Variables& variables, const std::vector<std::string>& names, const Lookup& lookup) {
  for (const std::string& name : names) {
    if (auto value = lookup(name.c_str())) variables[name] = std::move(*value);
  }
}

void become(Variables& variables, const plugin::RunAs& user) {
  const std::pair<const char*, const std::string&> entries[] = {
      {"HOME", user.home}, {"USER", user.login}, {"LOGNAME", user.login}, {"SHELL", user.shell}};
  for (const auto& [name, value] : entries) {
    if (value.empty()) {
      variables.erase(name);
    } else {
      variables[name] = value;
    }
  }
}

std::vector<std::string> to_list(const Variables& variables) {
  std::vector<std::string> list;
  for (const auto& [name, value] : variables) list.push_back(name + "=" + value);
  return list;
}

std::string path_of(const Variables& variables) {
  const auto entry = variables.find("PATH");
  return std::string(entry == variables.end() ? kDefaultPath : entry->second);
}

std::optional<std::string> find_in_path(const std::string& program, const Variables& variables) {
  if (program.find('/') != program.npos) return program;
  const std::string path = path_of(variables);
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t end = rest.find(kPathSeparator);
    const std::filesystem::path directory(rest.substr(0, end));
    rest = end == rest.npos ? "" : rest.substr(end + 1);
    // A relative entry would mean another program in each directory.
    if (directory.is_absolute() && is_executable(directory / program)) {
      return (directory / program).string();
    }
  }
  return std::nullopt;
}

std::expected<std::string, Error> find_program(const plugin::Manifest& manifest,
                                               const Variables& variables) {
  const std::string& program = manifest.command.front();
  if (auto found = find_in_path(program, variables)) return *found;
  return std::unexpected(
      make_error(Reason::kExecutableMissing,
                 "its program \"" + program + "\" is not in PATH (" + path_of(variables) + ")",
                 "install it, or write its path in `command` of " + manifest.file.string(), "; "));
}

}  // namespace plugind::dialect
