// Where the requests of a call come from: -d JSON, -d @FILE or standard input.
#pragma once

#include <istream>
#include <memory>
#include <optional>
#include <string>

#include "client-lib/pluginctl/failure.h"
#include "client-lib/pluginctl/json.h"

namespace plugind::pluginctl {

/// JSON values one after another.
class JsonInput {
 public:
  /// `data` is the argument of -d: JSON, "@FILE", or "@-" for standard input.  Without it standard
  /// input is read unless that is a terminal and `interactive` is not set.
  static Result<std::unique_ptr<JsonInput>> open(const std::optional<std::string>& data,
                                                 bool interactive);

  /// The next value; blocks for it.  Nothing when there is no more.
  Result<std::optional<std::string>> next();

 private:
  JsonInput() = default;

  std::unique_ptr<std::istream> owned_;
  std::istream* stream_ = nullptr;  ///< Null: nothing is read.
  JsonSplitter splitter_;
  bool ended_ = false;
};

}  // namespace plugind::pluginctl
