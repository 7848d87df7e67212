// What the domain needs of files that keep what plugins print.  app/ has the real ones.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "daemon/plugin/manifest.h"
#include "daemon/plugin/output_log.h"

namespace plugind::plugin {

/// The files of one plugin.  While it lives, what comes into the plugin's log is written there, as
/// far as that keeps up: it never blocks.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  /// The one that is written now.
  virtual std::filesystem::path path() const = 0;
  /// Why nothing can be written to it at present; "" while all is well.
  virtual std::string problem() const = 0;
};

class OutputFiles {
 public:
  virtual ~OutputFiles() = default;
  /// Null: the manifest wants none.  Plugins of one name have the same files, as the manifest that
  /// came last says.
  virtual std::shared_ptr<OutputFile> open(const Manifest& manifest, OutputLog& log) = 0;
};

}  // namespace plugind::plugin
