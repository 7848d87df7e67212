// Writes what plugins print to files, on a thread of its own: a disk that is slow, full or gone
// holds up neither the loop nor a plugin.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "daemon/plugin/output_files.h"

namespace plugind::app {

class OutputWriter final : public plugin::OutputFiles {
 public:
  struct Limits {
    std::size_t queue = 1 << 20;                ///< Bytes that wait for the disk, of each plugin.
    std::chrono::milliseconds patience{2'000};  ///< For the disk, in the destructor.
    std::chrono::milliseconds quiet{60'000};    ///< At least so long between two reports of a kind.
    std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
  };
  /// What an operator should know about a plugin's file.
  struct Report {
    enum class Kind {
      kFailed,   ///< It cannot be written; `detail` says why.  What comes is left out.
      kWorks,    ///< It can again; `lines` were left out meanwhile.
      kLeftOut,  ///< The disk is too slow; `lines` were left out since the last such report.
    };
    Kind kind;
    std::string plugin;
    std::string detail = {};
    std::uint64_t lines = 0;
  };

  /// The files are DIRECTORY/NAME.log.  `report` is called on the writer's thread, which has the
  /// signal mask of the one that calls this.
  OutputWriter(std::filesystem::path directory, std::function<void(const Report&)> report);
  OutputWriter(std::filesystem::path directory, std::function<void(const Report&)> report,
               Limits limits);
  /// Writes what is queued, for `patience` at most.  Then a thread that hangs in the disk is left
  /// to itself.
  ~OutputWriter() override;
  OutputWriter(const OutputWriter&) = delete;
  OutputWriter& operator=(const OutputWriter&) = delete;

  /// From the loop.  What is returned may outlive the writer, and then writes nothing.
  std::shared_ptr<plugin::OutputFile> open(const plugin::Manifest& manifest,
                                           plugin::OutputLog& log) override;

 private:
  class Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace plugind::app
