// A program that was checked, and that nobody can change between the check and its execution.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <expected>
#include <map>
#include <memory>
#include <string>

#include "daemon/error.h"

namespace plugind::platform {

/// The bytes of a program in memory that cannot be written to.  They stay in memory as long as the
/// object or a process of it lives.
class SealedProgram {
 public:
  virtual ~SealedProgram() = default;
  /// For SpawnRequest; only this process has it.
  virtual int descriptor() const = 0;
};

/// Reads `path`, keeps what it read and compares that with the checksum: 64 hexadecimal digits in
/// lower case.  Blocks for as long as the disk takes; gives up when `stop` becomes true.  Errors:
/// ExecutableMissing; ExecutableUnusable (no program, a script, over 2 GiB, not executable);
/// ChecksumMismatch, telling both checksums; SpawnFailed for what the system refuses.
std::expected<std::shared_ptr<const SealedProgram>, Error> seal_program(
    const std::string& path, const std::string& sha256, const std::atomic<bool>& stop);

/// Seals programs in a thread of its own, one after the other.  Programs that are in use already
/// are not read again: their content is known.  Lives on the loop; when it is destroyed, who waits
/// waits for ever.
class ProgramSealer {
 public:
  using Result = std::expected<std::shared_ptr<const SealedProgram>, Error>;

  explicit ProgramSealer(boost::asio::any_io_executor loop) : loop_(std::move(loop)) {}
  ~ProgramSealer();
  ProgramSealer(const ProgramSealer&) = delete;
  ProgramSealer& operator=(const ProgramSealer&) = delete;

  /// As seal_program().  May be cancelled, and destroyed meanwhile.
  boost::asio::awaitable<Result> seal(std::string path, std::string sha256);

 private:
  struct Job;
  static boost::asio::awaitable<Result> wait(std::shared_ptr<Job> job);

  boost::asio::any_io_executor loop_;
  std::map<std::string, std::weak_ptr<const SealedProgram>> in_use_;  // By checksum and path.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::atomic<bool> stop_{false};
  std::unique_ptr<boost::asio::thread_pool> thread_;  // Made with the first program.
};

}  // namespace plugind::platform
