#include "daemon/platform/linux/exec_failure.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <type_traits>

#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {
namespace {

Error missing(std::string message) {
  return make_error(Reason::kExecutableMissing, std::move(message));
}
Error unusable(std::string message) {
  return make_error(Reason::kExecutableUnusable, std::move(message));
}

std::string this_machine() {
  utsname name;
  return ::uname(&name) == 0 ? name.machine : "another one";
}

std::string machine_name(unsigned machine, bool is_64) {
  switch (machine) {
    case EM_X86_64:
      return is_64 ? "x86_64" : "x86_64 (x32)";
    case EM_386:
      return "i386";
    case EM_AARCH64:
      return "aarch64";
    case EM_ARM:
      return "arm";
    case EM_RISCV:
      return is_64 ? "riscv64" : "riscv32";
    case EM_PPC64:
      return "ppc64";
    case EM_S390:
      return "s390x";
    case EM_MIPS:
      return is_64 ? "mips64" : "mips";
    case 258:
      return "loongarch64";
    default:
      return "ELF machine " + std::to_string(machine);
  }
}

/// What the beginning of an executable tells.
struct Header {
  enum class Kind { kEmpty, kScript, kElf, kForeign, kPlain } kind = Kind::kEmpty;
  std::string interpreter;  // of a script, or the loader of an ELF file; "" if none
  std::string machine;      // of an ELF file
  std::string format;       // of a foreign file
};

bool read_at(int fd, void* out, std::size_t size, std::uint64_t offset) {
  return ::pread(fd, out, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

template <typename T>
T in_order(T value, bool swap) {
  if (!swap) return value;
  auto bytes = std::bit_cast<std::array<unsigned char, sizeof(T)>>(value);
  std::ranges::reverse(bytes);
  return std::bit_cast<T>(bytes);
}

template <typename Ehdr, typename Phdr>
void read_elf(int fd, bool swap, bool is_64, Header& header) {
  Ehdr elf;
  if (!read_at(fd, &elf, sizeof(elf), 0)) return;
  header.machine = machine_name(in_order(elf.e_machine, swap), is_64);
  const auto count = std::min<unsigned>(in_order(elf.e_phnum, swap), 256);
  for (unsigned i = 0; i < count; ++i) {
    Phdr program;
    const std::uint64_t at = in_order(elf.e_phoff, swap) + std::uint64_t{i} * sizeof(Phdr);
    if (!read_at(fd, &program, sizeof(program), at)) return;
    if (in_order(program.p_type, swap) != PT_INTERP) continue;
    std::string loader(std::min<std::uint64_t>(in_order(program.p_filesz, swap), 4096), '\0');
    if (read_at(fd, loader.data(), loader.size(), in_order(program.p_offset, swap))) {
      header.interpreter = loader.c_str();
    }
    return;
  }
}

std::optional<Header> read_header(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return std::nullopt;
  std::array<char, 256> buffer{};
  const ssize_t n = ::pread(fd.get(), buffer.data(), buffer.size(), 0);
  if (n < 0) return std::nullopt;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(n));
  Header header;
  if (text.starts_with("#!")) {
    header.kind = Header::Kind::kScript;
    std::string_view line = text.substr(2, text.find('\n') - 2);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    header.interpreter = line.substr(0, line.find_first_of(" \t"));
  } else if (text.starts_with(ELFMAG) && n >= EI_NIDENT) {
    header.kind = Header::Kind::kElf;
    const bool little = buffer[EI_DATA] == ELFDATA2LSB;
    const bool swap = little != (std::endian::native == std::endian::little);
    if (buffer[EI_CLASS] == ELFCLASS64) {
      read_elf<Elf64_Ehdr, Elf64_Phdr>(fd.get(), swap, true, header);
    } else {
      read_elf<Elf32_Ehdr, Elf32_Phdr>(fd.get(), swap, false, header);
    }
  } else if (text.starts_with("MZ")) {
    header.kind = Header::Kind::kForeign;
    header.format = "Windows";
  } else if (text.starts_with("\xcf\xfa\xed\xfe") || text.starts_with("\xca\xfe\xba\xbe")) {
    header.kind = Header::Kind::kForeign;
    header.format = "macOS";
  } else if (n > 0) {
    header.kind = Header::Kind::kPlain;
  }
  return header;
}

Error explain_missing(const std::string& path, int error) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    if (::lstat(path.c_str(), &info) == 0) {
      return missing("the command " + path +
                     " is a symbolic link to something that does not exist: restore its target, or "
                     "correct `command` in the manifest");
    }
    return missing("the command " + path + " does not exist (" + errno_text(error) +
                   "): build or install the plugin, or correct `command` in the manifest");
  }
  const auto header = read_header(path);
  if (header && header->kind == Header::Kind::kScript) {
    const bool crlf = header->interpreter.ends_with('\r');
    return unusable("the script " + path + " names the interpreter " +
                    (crlf ? header->interpreter.substr(0, header->interpreter.size() - 1)
                          : header->interpreter) +
                    (crlf ? " followed by a carriage return: save it with Unix line ends"
                          : ", which does not exist: install it, or correct the #! line"));
  }
  if (header && !header->interpreter.empty()) {
    return unusable("the program " + path + " needs the loader " + header->interpreter +
                    ", which is not on this machine: it was built for another distribution or C "
                    "library; install that loader, or build the program for this machine");
  }
  return unusable("the command " + path +
                  " exists, but its interpreter or loader does not: install it");
}

Error explain_denied(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    return unusable("the command " + path + " is in a directory that uid " +
                    std::to_string(::geteuid()) +
                    " may not search: chmod a+x that directory, or move the plugin");
  }
  if (S_ISDIR(info.st_mode)) {
    return unusable("the command " + path +
                    " is a directory: correct `command` in the manifest to name a program");
  }
  if (!S_ISREG(info.st_mode)) {
    return unusable("the command " + path +
                    " is not a regular file: correct `command` in the manifest");
  }
  if (::access(path.c_str(), X_OK) != 0) {
    struct statvfs mount;
    if (::statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_NOEXEC) != 0) {
      return unusable("the command " + path +
                      " is on a file system that is mounted noexec: move the plugin, or mount it "
                      "without noexec");
    }
    return unusable("the command " + path + " is not executable for uid " +
                    std::to_string(::geteuid()) + ": chmod +x " + path);
  }
  const auto header = read_header(path);
  if (header && !header->interpreter.empty()) {
    return unusable("the interpreter " + header->interpreter + " of " + path +
                    " may not be executed: chmod +x " + header->interpreter);
  }
  return unusable("the command " + path + " may not be executed: a security policy forbids it");
}

Error explain_format(const std::string& path) {
  const auto header = read_header(path);
  if (header && header->kind == Header::Kind::kElf) {
    const std::string here = this_machine();
    if (!header->machine.empty() && header->machine != here) {
      return unusable("the program " + path + " is built for " + header->machine +
                      ", this machine is " + here + ": install the build for " + here);
    }
    return unusable("the program " + path +
                    " is damaged or not a program (an ELF file that the kernel refuses): build or "
                    "install it again");
  }
  if (header && header->kind == Header::Kind::kForeign) {
    return unusable("the program " + path + " is built for " + header->format +
                    ": install the build for Linux on " + this_machine());
  }
  if (header && header->kind == Header::Kind::kEmpty) {
    return unusable("the command " + path + " is an empty file: build or install the plugin again");
  }
  return unusable("the command " + path +
                  " is neither a program nor a script: begin a script with a #! line, such as "
                  "#!/bin/sh");
}

Error explain_exec(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
      return explain_missing(path, error);
    case ENOTDIR:
    case ENAMETOOLONG:
      return missing("the command " + path + " does not exist (" + errno_text(error) +
                     "): correct `command` in the manifest");
    case EACCES:
    case EPERM:
      return explain_denied(path);
    case ENOEXEC:
    case ELIBBAD:
    case EINVAL:
      return explain_format(path);
    case ELOOP:
      return unusable("the command " + path +
                      " leads through too many symbolic links or interpreters: correct the links");
    case ETXTBSY:
      return unusable("the command " + path +
                      " is open for writing: wait until its installation has finished");
    case E2BIG:
      return make_error(Reason::kSpawnFailed,
                        "the arguments and environment of " + path +
                            " are larger than the system allows: shorten `command` or `env`");
    default:
      return make_error(Reason::kSpawnFailed, "cannot execute " + path + ": " + errno_text(error));
  }
}

std::string advice(int error) {
  switch (error) {
    case EMFILE:
      return ": plugind has too many open files; raise its limit (ulimit -n, LimitNOFILE=)";
    case ENFILE:
      return ": the system has too many open files; raise fs.file-max";
    case EAGAIN:
      return ": too many processes; raise the limit (ulimit -u, TasksMax=, pids.max)";
    case ENOMEM:
      return ": the system is out of memory";
    default:
      return "";
  }
}

}  // namespace

Error user_refused(const std::string& executable, std::uint32_t uid, int error) {
  return make_error(Reason::kIsolationUnavailable,
                    "cannot start " + executable + " as uid " + std::to_string(uid) + ": " +
                        errno_text(error) + "; plugind runs as uid " + std::to_string(::geteuid()) +
                        ": run it as root, or remove `user` from the manifest");
}

Error explain_spawn_failure(const std::string& executable, const std::string& directory,
                            SpawnStage stage, int error, std::optional<std::uint32_t> uid) {
  const std::string as = uid ? " as uid " + std::to_string(*uid) : "";
  switch (stage) {
    case SpawnStage::kExec:
      // Whether another user may execute a file cannot be asked without being that user.
      if (uid && (error == EACCES || error == EPERM)) {
        return unusable("the command " + executable + " may not be executed" + as +
                        ": let that user search its directories and execute it, or move it");
      }
      if (uid && error == EAGAIN) {
        return make_error(Reason::kSpawnFailed,
                          "uid " + std::to_string(*uid) +
                              " has more processes than `limits.processes` allows, so " +
                              executable +
                              " cannot start: raise it, or give the plugin a `user` "
                              "of its own");
      }
      return explain_exec(executable, error);
    case SpawnStage::kIdentity:
      return user_refused(executable, uid.value_or(0), error);
    case SpawnStage::kLimits: {
      rlimit files{};
      ::getrlimit(RLIMIT_NOFILE, &files);
      return make_error(Reason::kIsolationUnavailable,
                        "cannot set the limits of " + executable + ": " + errno_text(error) +
                            "; `limits.open_files` may be at most " +
                            std::to_string(files.rlim_max) +
                            ", which is plugind's own hard limit: lower it, or raise that "
                            "(ulimit -Hn, LimitNOFILE=)");
    }
    case SpawnStage::kDirectory:
      return make_error(Reason::kSpawnFailed,
                        "cannot start " + executable + as + " in the directory " + directory +
                            ": " + errno_text(error) + ": make the directory, or let " +
                            (uid ? "that user" : "plugind") + " enter it");
    default:
      return make_error(Reason::kSpawnFailed,
                        "cannot start " + executable + ": " + errno_text(error) + advice(error));
  }
}

}  // namespace plugind::platform
