// Law 1: libplugind touches no signal, thread or child of its host.
//
// Loads the library given as the first argument, compares what the operating system knows of this
// process before and after each thing that a host may do with it, and unloads it.  Around the calls
// it makes two system calls that check_syscalls.py recognises.
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <list>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client-lib/include/plugind/plugind.h"

namespace {

int g_failures = 0;

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      ++g_failures;                                                        \
    }                                                                      \
  } while (false)

struct Snapshot {
  std::string process;  // Everything but the descriptors, readable.
  std::multiset<std::string> descriptors;
};

// The C library leaves the rest of a sigset_t as it was.
std::string to_text(const sigset_t& signals) {
  std::string text;
  for (int number = 1; number <= 64; ++number) {
    if (sigismember(&signals, number) == 1) text += std::to_string(number) + " ";
  }
  return text;
}

std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> names;
  DIR* stream = ::opendir(directory.c_str());
  CHECK(stream != nullptr);
  const std::string own = std::to_string(::dirfd(stream));
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || (directory.ends_with("/fd") && name == own)) continue;
    names.push_back(name);
  }
  ::closedir(stream);
  return names;
}

Snapshot take_snapshot() {
  std::ostringstream out;
  for (int number = 1; number <= 64; ++number) {
    struct sigaction action;
    std::memset(&action, 0, sizeof(action));
    // 32 and 33 belong to the C library, which does not tell; the kernel does, below.
    if (::sigaction(number, nullptr, &action) != 0) continue;
    out << "signal " << number << ": " << reinterpret_cast<void*>(action.sa_handler) << " flags "
        << action.sa_flags << " mask " << to_text(action.sa_mask) << "\n";
  }
  sigset_t mask;
  ::sigemptyset(&mask);
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  out << "mask " << to_text(mask);
  stack_t stack{};
  ::sigaltstack(nullptr, &stack);
  out << "\nsignal stack " << stack.ss_sp << " " << stack.ss_size << " " << stack.ss_flags << "\n";
  for (int which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    itimerval timer{};
    ::getitimer(which, &timer);
    out << "timer " << timer.it_value.tv_sec << "." << timer.it_value.tv_usec << "\n";
  }
  int death_signal = -1;
  ::prctl(PR_GET_PDEATHSIG, &death_signal);
  out << "death signal " << death_signal << " subreaper ";
  int subreaper = -1;
  ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
  out << subreaper << "\n";
  for (const std::string& task : entries_of("/proc/self/task")) {
    out << "thread " << task << " children: ";
    std::ifstream children("/proc/self/task/" + task + "/children");
    std::string list;
    std::getline(children, list);
    out << list << "\n";
  }
  // The kernel's own view of what is blocked, ignored and caught, signals 32 and 33 included.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if ((line.starts_with("Sig") && !line.starts_with("SigQ")) || line.starts_with("Shd") ||
        line.starts_with("Threads")) {
      out << line << "\n";
    }
  }
  status.close();
  Snapshot snapshot;
  snapshot.process = out.str();
  for (const std::string& fd : entries_of("/proc/self/fd")) {
    char target[256] = {};
    const ssize_t size = ::readlink(("/proc/self/fd/" + fd).c_str(), target, sizeof(target) - 1);
    snapshot.descriptors.insert(fd + " " + std::string(target, size > 0 ? size : 0));
  }
  return snapshot;
}

void compare(const char* when, const Snapshot& before, std::size_t sockets_more) {
  const Snapshot now = take_snapshot();
  if (now.process != before.process) {
    std::fprintf(stderr, "changed %s:\n", when);
    std::istringstream old_lines(before.process);
    std::istringstream new_lines(now.process);
    for (std::string a, b; std::getline(old_lines, a) && std::getline(new_lines, b);) {
      if (a != b) std::fprintf(stderr, "  before: %s\n     now: %s\n", a.c_str(), b.c_str());
    }
    ++g_failures;
  }
  std::size_t more = 0;
  for (const std::string& descriptor : now.descriptors) {
    if (before.descriptors.contains(descriptor)) continue;
    ++more;
    if (descriptor.find("socket:") == std::string::npos) more = 1'000;
  }
  if (more != sockets_more || now.descriptors.size() != before.descriptors.size() + more) {
    std::fprintf(stderr, "descriptors %s: %zu new, %zu before, %zu now\n", when, more,
                 before.descriptors.size(), now.descriptors.size());
    ++g_failures;
  }
}

struct Library {
  void* handle = nullptr;
  decltype(&pd_connect) connect = nullptr;
  decltype(&pd_close) close = nullptr;
  decltype(&pd_invoke) invoke = nullptr;
  decltype(&pd_call_begin) call_begin = nullptr;
  decltype(&pd_call_wait) call_wait = nullptr;
  decltype(&pd_call_cancel) call_cancel = nullptr;
  decltype(&pd_call_free) call_free = nullptr;
  decltype(&pd_next) next = nullptr;
  decltype(&pd_flush) flush = nullptr;
  decltype(&pd_reply_free) reply_free = nullptr;
  decltype(&pd_error_code) error_code = nullptr;
  decltype(&pd_error_free) error_free = nullptr;
  decltype(&pd_options_new) options_new = nullptr;
  decltype(&pd_options_free) options_free = nullptr;
  decltype(&pd_options_set_timeout_ms) set_timeout = nullptr;

  explicit Library(const char* path) : handle(::dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (handle == nullptr) {
      std::fprintf(stderr, "%s\n", ::dlerror());
      std::exit(2);
    }
    load(connect, "pd_connect");
    load(close, "pd_close");
    load(invoke, "pd_invoke");
    load(call_begin, "pd_call_begin");
    load(call_wait, "pd_call_wait");
    load(call_cancel, "pd_call_cancel");
    load(call_free, "pd_call_free");
    load(next, "pd_next");
    load(flush, "pd_flush");
    load(reply_free, "pd_reply_free");
    load(error_code, "pd_error_code");
    load(error_free, "pd_error_free");
    load(options_new, "pd_options_new");
    load(options_free, "pd_options_free");
    load(set_timeout, "pd_options_set_timeout_ms");
  }

  template <typename Function>
  void load(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(handle, name));
    CHECK(function != nullptr);
  }

  // The call's status.
  int call(pd_client* client, const char* method, const std::string& request,
           std::int64_t timeout_ms = 0) const {
    pd_options* options = options_new();
    set_timeout(options, timeout_ms);
    pd_error* error = nullptr;
    reply_free(invoke(client, nullptr, (std::string("/test.Test/") + method).c_str(),
                      request.data(), request.size(), options, &error));
    const int code = error != nullptr ? error_code(error) : 0;
    error_free(error);
    options_free(options);
    return code;
  }
};

// Recognised by check_syscalls.py.
void mark(const char* what) { ::access(what, F_OK); }

// A thread of this test.
class OwnThread {
 public:
  explicit OwnThread(std::function<void()> work)
      : thread_([this, work = std::move(work)] {
          task_ = ::gettid();
          work();
        }) {}
  OwnThread(const OwnThread&) = delete;
  OwnThread& operator=(const OwnThread&) = delete;

  // pthread_join() returns a moment before the kernel has done with the thread; until then it is
  // listed, and would be taken for the library's.
  void join() {
    thread_.join();
    const std::string listed = "/proc/self/task/" + std::to_string(task_);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (::access(listed.c_str(), F_OK) == 0) {
      if (std::chrono::steady_clock::now() > deadline) {
        std::fprintf(stderr, "thread %d was joined and is still listed\n", task_);
        ++g_failures;
        return;
      }
      std::this_thread::yield();
    }
  }

 private:
  pid_t task_ = 0;
  std::thread thread_;
};

bool is_loaded() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("libplugind.so") != std::string::npos) return true;
  }
  return false;
}

}  // namespace

int main(int, char** argv) {
  // A host's own settings, as unlike the defaults as can be.
  static char stack_memory[1 << 16];
  const stack_t stack{stack_memory, 0, sizeof(stack_memory)};
  CHECK(::sigaltstack(&stack, nullptr) == 0);
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGCHLD, [](int) {});
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);

  // With the first thread of a process glibc installs a handler of its own (for signal 33); this
  // test's threads shall not be taken for the library's.
  OwnThread([] {}).join();

  const Snapshot before = take_snapshot();
  CHECK(!is_loaded());
  {
    const Library library(argv[1]);
    CHECK(is_loaded());
    compare("by loading the library", before, 0);

    mark("/plugind-abi-begin");
    pd_client* client = library.connect(nullptr, 0, nullptr);
    mark("/plugind-abi-end");
    CHECK(client != nullptr);
    if (client == nullptr) return 1;
    compare("by connecting", before, 1);

    mark("/plugind-abi-begin");
    CHECK(library.call(client, "Echo", "hello") == 0);
    CHECK(library.call(client, "Echo", std::string(16 << 20, 'x')) == 0);
    CHECK(library.call(client, "Fail", "") == 14);
    CHECK(library.call(client, "Hold", "", 50) == 4);
    CHECK(library.call(client, "Hold", "", 300) == 4);
    mark("/plugind-abi-end");
    compare("by calls", before, 1);

    {
      std::list<OwnThread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
          mark("/plugind-abi-begin");
          for (int call = 0; call < 100; ++call) CHECK(library.call(client, "Echo", "hello") == 0);
          mark("/plugind-abi-end");
        });
      }
      for (auto& thread : threads) thread.join();
    }
    compare("by calls of several threads", before, 1);

    mark("/plugind-abi-begin");
    const auto begin = [&](const char* method) {
      return library.call_begin(client, nullptr, method, "x", 1, nullptr, 0, nullptr);
    };
    for (int call = 0; call < 20; ++call) CHECK(begin("/test.Test/Echo") != nullptr);
    library.flush(client);
    for (int call = 0; call < 20; ++call) {
      pd_call* ended = library.next(client, -1);
      pd_reply* reply = library.call_wait(ended, nullptr);
      CHECK(reply != nullptr);
      library.reply_free(reply);
      library.call_free(ended);
    }
    pd_call* held = begin("/test.Test/Hold");
    CHECK(library.next(client, 50) == nullptr);
    mark("/plugind-abi-end");
    OwnThread canceller([&] {
      mark("/plugind-abi-begin");
      library.call_cancel(held);
      mark("/plugind-abi-end");
    });
    mark("/plugind-abi-begin");
    CHECK(library.call_wait(held, nullptr) == nullptr);
    mark("/plugind-abi-end");
    canceller.join();
    library.call_free(held);
    // The two ends of what wakes a waiting thread.
    compare("by calls that hold no thread", before, 3);

    mark("/plugind-abi-begin");
    CHECK(library.call(client, "Quit", "") == 14);
    CHECK(library.call(client, "Echo", "nobody") == 14);
    mark("/plugind-abi-end");
    compare("by the daemon's death", before, 0);

    mark("/plugind-abi-begin");
    library.close(client);
    mark("/plugind-abi-end");
    compare("by closing", before, 0);
    ::dlclose(library.handle);
  }
  compare("by unloading the library", before, 0);
  CHECK(!is_loaded());
  return g_failures == 0 ? 0 : 1;
}
