// The environment of a plugin, and where its program is found.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/manifest.h"

namespace plugind::dialect {

using Variables = std::map<std::string, std::string>;

/// Looks a variable of the daemon's own environment up.
using Lookup = std::function<std::optional<std::string>(const char* name)>;

/// The daemon's real environment.
std::optional<std::string> daemon_variable(const char* name);

/// The names that plugins inherit from the daemon's environment; listed in docs/dialects.md.
std::span<const char* const> inherited_names();

/// What a plugin gets of the daemon's environment: a short list of names, so that nothing secret in
/// the daemon's environment reaches a plugin by accident.
Variables base_environment(const Lookup& lookup);

/// Adds the daemon's own variables of these names, where they are set.
void inherit(Variables& variables, const std::vector<std::string>& names, const Lookup& lookup);

/// HOME, USER, LOGNAME and SHELL of another user than the daemon's: what the system has for it, and
/// nothing of the daemon's own.
void become(Variables& variables, const plugin::RunAs& user);

/// "NAME=value", in order of name.
std::vector<std::string> to_list(const Variables& variables);

/// PATH of `variables`, or what is taken for it.
std::string path_of(const Variables& variables);

/// The program as it stands if it has a slash, else the first executable file of that name in PATH
/// of `variables`.
std::optional<std::string> find_in_path(const std::string& program, const Variables& variables);

/// The absolute path of the manifest's program: as it stands if it has a slash, else the first
/// executable file of that name in PATH of `variables`.  Error (ExecutableMissing).
std::expected<std::string, Error> find_program(const plugin::Manifest& manifest,
                                               const Variables& variables);

}  // namespace plugind::dialect
