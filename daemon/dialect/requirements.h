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

/// Checks the manifest's requirements in their order.  Commands run as the plugin would (`like` is
/// how: user, environment, directory; another user's in / unless the manifest names one), without
/// its limits, and each within its own timeout.
/// Completes with the Error (RequirementMissing) of the first that is not met; the message ends
/// with its hint.  Nothing is left of a command afterwards.
boost::asio::awaitable<std::expected<void, Error>> check_requirements(
    const plugin::StartContext& context, const Variables& variables,
    const plugin::ProcessSpec& like);

/// The first number with dots in what a program prints, such as 17.0.9 in `openjdk version
/// "17.0.9"`; else the first number; "" if there is none.
std::string first_version(std::string_view text);

/// Whether version `a` is lower than `b`, compared number by number: 1.8 < 1.10 < 17.
bool version_less(std::string_view a, std::string_view b);

}  // namespace plugind::dialect
