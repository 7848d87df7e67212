// What a manifest requires of the machine, looked at before a plugin starts.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <expected>
#include <string>
#include <string_view>

#include "daemon/dialect/environment.h"
#include "daemon/error.h"
#include "daemon/plugin/dialect.h"

namespace plugind::dialect {

/// Checks one requirement.  A command runs as run_beside() says (`like` is how), within its own
/// timeout.  Error (RequirementMissing): it is not met; the message ends with its hint.
boost::asio::awaitable<std::expected<void, Error>> check_requirement(
    const plugin::StartContext& context, const plugin::Requirement& requirement,
    const Variables& variables, const plugin::ProcessSpec& like);

/// Checks the manifest's requirements in their order.  Completes with the Error of the first that
/// is not met.
boost::asio::awaitable<std::expected<void, Error>> check_requirements(
    const plugin::StartContext& context, const Variables& variables,
    const plugin::ProcessSpec& like);

/// The first number with dots in what a program prints, such as 17.0.9 in `openjdk version
/// "17.0.9"`; else the first number; "" if there is none.
std::string first_version(std::string_view text);

/// Whether version `a` is lower than `b`, compared number by number: 1.8 < 1.10 < 17.
bool version_less(std::string_view a, std::string_view b);

}  // namespace plugind::dialect
