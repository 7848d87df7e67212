#include "daemon/platform/linux/exec_failure.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>

#include "daemon/platform/linux/sandbox.h"
#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/program_file.h"

namespace plugind::platform {
namespace {

Error missing(std::string what, std::string_view remedy) {
  return make_error(Reason::kExecutableMissing, std::move(what), remedy);
}
Error unusable(std::string what, std::string_view remedy) {
  return make_error(Reason::kExecutableUnusable, std::move(what), remedy);
}

std::string this_machine() {
  utsname name;
  return ::uname(&name) == 0 ? name.machine : "another one";
}

Error explain_missing(const std::string& path, int error) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    if (::lstat(path.c_str(), &info) == 0) {
      return missing("the command " + path + " is a symbolic link to something that does not exist",
                     "restore its target, or correct `command` in the manifest");
    }
    return missing("the command " + path + " does not exist (" + errno_text(error) + ")",
                   "build or install the plugin, or correct `command` in the manifest");
  }
  const auto header = read_program_header(path);
  if (header && header->kind == ProgramHeader::Kind::kScript) {
    std::string interpreter = header->interpreter;
    const std::string what = "the script " + path + " names the interpreter ";
    if (interpreter.ends_with('\r')) {
      interpreter.pop_back();
      return unusable(what + interpreter + " followed by a carriage return",
                      "save it with Unix line ends");
    }
    return unusable(what + interpreter + ", which does not exist",
                    "install it, or correct the #! line");
  }
  if (header && !header->interpreter.empty()) {
    return unusable("the program " + path + " needs the loader " + header->interpreter +
                        ", which is not on this machine",
                    "it was built for another distribution or C library; install that loader, or "
                    "build the program for this machine");
  }
  return unusable("the command " + path + " exists, but its interpreter or loader does not",
                  "install it");
}

bool is_mounted_noexec(const std::string& path) {
  struct statvfs mount;
  return ::statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_NOEXEC) != 0;
}

Error on_noexec_mount(const std::string& path) {
  return unusable("the command " + path + " is on a file system that is mounted noexec",
                  "move the plugin, or mount it without noexec");
}

Error explain_denied(const std::string& path) {
  constexpr const char* kCorrect = "correct `command` in the manifest";
  const std::string uid = std::to_string(::geteuid());
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    return unusable(
        "the command " + path + " is in a directory that uid " + uid + " may not search",
        "chmod a+x that directory, or move the plugin");
  }
  if (S_ISDIR(info.st_mode)) {
    return unusable("the command " + path + " is a directory",
                    "correct `command` in the manifest to name a program");
  }
  if (!S_ISREG(info.st_mode)) {
    return unusable("the command " + path + " is not a regular file", kCorrect);
  }
  if (::access(path.c_str(), X_OK) != 0) {
    if (is_mounted_noexec(path)) return on_noexec_mount(path);
    return unusable("the command " + path + " is not executable for uid " + uid,
                    "chmod +x " + path);
  }
  const auto header = read_program_header(path);
  if (header && !header->interpreter.empty()) {
    return unusable(
        "the interpreter " + header->interpreter + " of " + path + " may not be executed",
        "chmod +x " + header->interpreter);
  }
  return unusable("the command " + path + " may not be executed", "a security policy forbids it");
}

Error explain_format(const std::string& path) {
  const auto header = read_program_header(path);
  if (header && header->kind == ProgramHeader::Kind::kElf) {
    const std::string here = this_machine();
    if (!header->machine.empty() && header->machine != here) {
      return unusable(
          "the program " + path + " is built for " + header->machine + ", this machine is " + here,
          "install the build for " + here);
    }
    return unusable("the program " + path +
                        " is damaged or not a program (an ELF file that the kernel refuses)",
                    "build or install it again");
  }
  if (header && header->kind == ProgramHeader::Kind::kForeign) {
    return unusable("the program " + path + " is built for " + header->format,
                    "install the build for Linux on " + this_machine());
  }
  if (header && header->kind == ProgramHeader::Kind::kEmpty) {
    return unusable("the command " + path + " is an empty file",
                    "build or install the plugin again");
  }
  return unusable("the command " + path + " is neither a program nor a script",
                  "begin a script with a #! line, such as #!/bin/sh");
}

Error explain_exec(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
      return explain_missing(path, error);
    case ENOTDIR:
    case ENAMETOOLONG:
      return missing("the command " + path + " does not exist (" + errno_text(error) + ")",
                     "correct `command` in the manifest");
    case EACCES:
    case EPERM:
      return explain_denied(path);
    case ENOEXEC:
    case ELIBBAD:
    case EINVAL:
      return explain_format(path);
    case ELOOP:
      return unusable(
          "the command " + path + " leads through too many symbolic links or interpreters",
          "correct the links");
    case ETXTBSY:
      return unusable("the command " + path + " is open for writing",
                      "wait until its installation has finished");
    case E2BIG:
      return make_error(
          Reason::kSpawnFailed,
          "the arguments and environment of " + path + " are larger than the system allows",
          "shorten `command` or `env`");
    default:
      return make_error(Reason::kSpawnFailed, "cannot execute " + path + ": " + errno_text(error));
  }
}

/// "" if there is none.
std::string_view advice(int error) {
  switch (error) {
    case EMFILE:
      return "plugind has too many open files; raise its limit (ulimit -n, LimitNOFILE=)";
    case ENFILE:
      return "the system has too many open files; raise fs.file-max";
    case EAGAIN:
      return "too many processes; raise the limit (ulimit -u, TasksMax=, pids.max)";
    case ENOMEM:
      return "the system is out of memory";
    default:
      return "";
  }
}

}  // namespace

Error user_refused(const std::string& executable, std::uint32_t uid, int error) {
  return make_error(Reason::kIsolationUnavailable,
                    "cannot start " + executable + " as uid " + std::to_string(uid) + ": " +
                        errno_text(error) + "; plugind runs as uid " + std::to_string(::geteuid()),
                    "run it as root, or remove `user` from the manifest");
}

Error explain_spawn_failure(const std::string& executable, const std::string& directory,
                            SpawnStage stage, int error, std::optional<std::uint32_t> uid) {
  const std::string as = uid ? " as uid " + std::to_string(*uid) : "";
  switch (stage) {
    case SpawnStage::kExec:
      // Whether another user may execute a file cannot be asked without being that user.
      if (uid && (error == EACCES || error == EPERM)) {
        if (is_mounted_noexec(executable)) return on_noexec_mount(executable);
        return unusable("the command " + executable + " may not be executed" + as,
                        "let that user search its directories and execute it, or move it");
      }
      if (uid && error == EAGAIN) {
        return make_error(Reason::kSpawnFailed,
                          "uid " + std::to_string(*uid) +
                              " has more processes than `limits.processes` allows, so " +
                              executable + " cannot start",
                          "raise it, or give the plugin a `user` of its own");
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
                            std::to_string(files.rlim_max) + ", which is plugind's own hard limit",
                        "lower it, or raise that (ulimit -Hn, LimitNOFILE=)");
    }
    case SpawnStage::kNetwork:
      return network_refused(executable, error);
    case SpawnStage::kFiles:
      return confinement_refused(executable, error);
    case SpawnStage::kDirectory:
      return make_error(
          Reason::kSpawnFailed,
          "cannot start " + executable + as + " in the directory " + directory + ": " +
              errno_text(error),
          "make the directory, or let " + std::string(uid ? "that user" : "plugind") + " enter it");
    default:
      return make_error(Reason::kSpawnFailed,
                        "cannot start " + executable + ": " + errno_text(error), advice(error));
  }
}

}  // namespace plugind::platform
