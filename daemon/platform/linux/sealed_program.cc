#include "daemon/platform/sealed_program.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/platform/latch.h"
#include "daemon/platform/linux/exec_failure.h"
#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {
namespace {

// Since Linux 6.3; newer kernels may be set up to want it.
#ifndef MFD_EXEC
constexpr unsigned MFD_EXEC = 0x0010U;
#endif
constexpr std::size_t kPiece = 1 << 20;
constexpr off_t kMostBytes = off_t{2} << 30;

class LinuxSealedProgram : public SealedProgram {
 public:
  explicit LinuxSealedProgram(UniqueFd memory) : memory_(std::move(memory)) {}
  int descriptor() const override { return memory_.get(); }

 private:
  UniqueFd memory_;
};

std::unexpected<Error> unusable(const std::string& path, const std::string& why) {
  return std::unexpected(
      make_error(Reason::kExecutableUnusable, "the command " + path + " " + why));
}
std::unexpected<Error> failed(const std::string& path, const std::string& what, int error) {
  return std::unexpected(make_error(
      Reason::kSpawnFailed, "cannot check " + path + ": " + what + ": " + errno_text(error)));
}

std::expected<UniqueFd, Error> open_program(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file && errno == EACCES) {
    return unusable(path, "may not be read by uid " + std::to_string(::geteuid()) +
                              ", which has to take its checksum: chmod +r " + path);
  }
  if (!file) {
    return std::unexpected(explain_spawn_failure(path, "", SpawnStage::kExec, errno));
  }
  struct stat info;
  struct statvfs mount;
  if (::fstat(file.get(), &info) != 0 || ::fstatvfs(file.get(), &mount) != 0) {
    return failed(path, "fstat", errno);
  }
  // What the kernel would ask of the file itself.
  if (!S_ISREG(info.st_mode) || (info.st_mode & 0111) == 0 || (mount.f_flag & ST_NOEXEC) != 0) {
    return std::unexpected(explain_spawn_failure(path, "", SpawnStage::kExec, EACCES));
  }
  if (info.st_size > kMostBytes) return unusable(path, "is over 2 GiB: leave `sha256` out");
  char mark[2];
  if (::pread(file.get(), mark, sizeof(mark), 0) == 2 && mark[0] == '#' && mark[1] == '!') {
    return unusable(path,
                    "is a script, whose interpreter `sha256` would not check: name a program in "
                    "`command`, or leave `sha256` out");
  }
  return file;
}

UniqueFd make_memory() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd memory(::memfd_create("plugin", kFlags | MFD_EXEC));
  if (!memory && errno == EINVAL) memory.reset(::memfd_create("plugin", kFlags));
  return memory;
}

/// Copies all of it: 0 or an errno.
int copy(int from, int to, const std::atomic<bool>& stop) {
  off_t copied = 0;
  while (!stop) {
    const ssize_t n = ::sendfile(to, from, nullptr, kPiece);
    if (n == 0) return 0;
    if (n == -1 && errno != EINTR) return errno;
    if (n > 0) copied += n;
    if (copied > kMostBytes) return EFBIG;
  }
  return ECANCELED;
}

std::expected<std::string, int> checksum(int memory, const std::atomic<bool>& stop) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> digest(EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free);
  if (!digest || EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) != 1) {
    return std::unexpected(ENOSYS);
  }
  std::vector<unsigned char> piece(kPiece);
  for (off_t at = 0; !stop;) {
    const ssize_t n = ::pread(memory, piece.data(), piece.size(), at);
    if (n == -1) return std::unexpected(errno);
    if (n > 0) {
      if (EVP_DigestUpdate(digest.get(), piece.data(), static_cast<std::size_t>(n)) != 1) {
        return std::unexpected(EIO);
      }
      at += n;
      continue;
    }
    std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
    unsigned size = 0;
    if (EVP_DigestFinal_ex(digest.get(), sum.data(), &size) != 1) return std::unexpected(EIO);
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
      constexpr char kDigits[] = "0123456789abcdef";
      text += {kDigits[sum[i] >> 4], kDigits[sum[i] & 15]};
    }
    return text;
  }
  return std::unexpected(ECANCELED);
}

}  // namespace

std::expected<std::shared_ptr<const SealedProgram>, Error> seal_program(
    const std::string& path, const std::string& sha256, const std::atomic<bool>& stop) {
  auto file = open_program(path);
  if (!file) return std::unexpected(file.error());
  UniqueFd memory = make_memory();
  if (!memory) return failed(path, "memfd_create", errno);
  if (const int error = copy(file->get(), memory.get(), stop)) return failed(path, "read", error);
  if (::fchmod(memory.get(), 0555) != 0 ||
      ::fcntl(memory.get(), F_ADD_SEALS,
              F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    return failed(path, "cannot seal its copy", errno);
  }
  // Only now: what a process of our user might have done to the copy before is found out.
  const auto found = checksum(memory.get(), stop);
  if (!found) return failed(path, "SHA-256", found.error());
  if (*found != sha256) {
    return std::unexpected(Error{Reason::kChecksumMismatch,
                                 "the program " + path + " has the SHA-256 checksum " + *found +
                                     ", and the manifest wants " + sha256 +
                                     ": install the program that was meant, or correct `sha256`",
                                 {{"expected", sha256}, {"found", *found}}});
  }
  return std::make_shared<LinuxSealedProgram>(std::move(memory));
}

struct ProgramSealer::Job {
  explicit Job(const boost::asio::any_io_executor& loop) : done(loop) {}
  std::optional<Result> result;
  Latch done;
};

ProgramSealer::~ProgramSealer() { stop_ = true; }

boost::asio::awaitable<ProgramSealer::Result> ProgramSealer::seal(std::string path,
                                                                  std::string sha256) {
  auto job = std::make_shared<Job>(loop_);
  const std::string key = sha256 + " " + path;
  std::erase_if(in_use_, [](const auto& entry) { return entry.second.expired(); });
  if (const auto known = in_use_.find(key); known != in_use_.end()) {
    job->result = known->second.lock();
    job->done.set();
    return wait(std::move(job));
  }
  if (!thread_) thread_ = std::make_unique<boost::asio::thread_pool>(1);
  // The job goes to the thread and comes back; its latch is touched on the loop only.
  boost::asio::post(*thread_, [this, job, key, path = std::move(path), sha256 = std::move(sha256),
                               loop = loop_, alive = std::weak_ptr(alive_)]() mutable {
    Result result = seal_program(path, sha256, stop_);
    boost::asio::post(loop, [this, job = std::move(job), key = std::move(key),
                             result = std::move(result), alive = std::move(alive)]() mutable {
      if (result && !alive.expired()) in_use_[key] = *result;
      job->result = std::move(result);
      job->done.set();
    });
  });
  return wait(std::move(job));
}

boost::asio::awaitable<ProgramSealer::Result> ProgramSealer::wait(std::shared_ptr<Job> job) {
  co_await job->done.wait();
  co_return std::move(*job->result);
}

}  // namespace plugind::platform
