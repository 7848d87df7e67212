#include "daemon/app/output_writer.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "daemon/app/output_text.h"
#include "daemon/platform/rotated_file.h"

namespace plugind::app {

namespace {

using Steady = std::chrono::steady_clock;
using Kind = OutputWriter::Report::Kind;

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
}

/// Lets something be said now and then.
class Seldom {
 public:
  explicit Seldom(const OutputWriter::Limits& limits) : pause_(limits.quiet), now_(limits.now) {}
  bool may() {
    const auto now = now_();
    if (last_ && now - *last_ < pause_) return false;
    last_ = now;
    return true;
  }

 private:
  const std::chrono::milliseconds pause_;
  const std::function<Steady::time_point()> now_;
  std::optional<Steady::time_point> last_;
};

/// The files of the plugins of one name.
struct Target {
  Target(const std::filesystem::path& directory, const std::string& name,
         const OutputWriter::Limits& limits)
      : plugin(name), file(directory, name + ".log"), failing(limits), leaving_out(limits) {}

  const std::string plugin;

  // The thread's.
  platform::RotatedFile file;
  std::uint64_t lost = 0;             // Lines that could not be written, since the last that could.
  std::uint64_t untold_lost = 0;      // Of them and earlier ones, those of which nobody was told.
  std::uint64_t untold_left_out = 0;  // The same of lines that came too fast.
  bool told_failure = false;
  Seldom failing, leaving_out;

  // Under the lock.
  std::size_t users = 0;  // Without any, the thread closes the file.
  platform::RotatedFile::Rotation rotation;
  std::string queue;           // Whole lines.
  std::uint64_t left_out = 0;  // Lines that came after those in the queue, which is full.
  bool waiting = false;        // It is among those that have something to write.
  std::string problem;
};

/// What the thread takes of a target at a time.
struct Batch {
  std::string lines;
  std::uint64_t left_out = 0;  // After the lines.
  platform::RotatedFile::Rotation rotation;
  bool last = false;  // Nobody prints there any more.
};

}  // namespace

class OutputWriter::Shared {
 public:
  Shared(std::filesystem::path directory, std::function<void(const Report&)> report, Limits limits)
      : directory_(std::move(directory)), report_(std::move(report)), limits_(limits) {}

  /// leave() undoes it.
  std::shared_ptr<Target> join(const plugin::Manifest& manifest) {
    const std::lock_guard lock(mutex_);
    std::erase_if(targets_, [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<Target>& known = targets_[manifest.name];
    auto target = known.lock();
    if (!target) {
      target = std::make_shared<Target>(directory_, manifest.name, limits_);
      known = target;
    }
    target->rotation = {manifest.output.file_size, manifest.output.files};
    ++target->users;
    return target;
  }

  void leave(const std::shared_ptr<Target>& target) {
    const std::lock_guard lock(mutex_);
    // To close a file may take as long as to write it.
    if (--target->users == 0) wake(target);
  }

  void add(const std::shared_ptr<Target>& target, const plugin::LogLine& line) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    const std::size_t before = target->queue.size();
    if (target->left_out == 0) append_line(target->queue, line);
    if (target->left_out > 0 || target->queue.size() > limits_.queue) {
      target->queue.resize(before);
      ++target->left_out;
    }
    wake(target);
  }

  std::string problem_of(const Target& target) const {
    const std::lock_guard lock(mutex_);
    return target.problem;
  }

  /// The thread.
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      work_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) break;
      auto target = std::move(waiting_.front());
      waiting_.pop_front();
      target->waiting = false;
      Batch batch{.lines = std::exchange(target->queue, {}),
                  .left_out = std::exchange(target->left_out, 0),
                  .rotation = target->rotation,
                  .last = target->users == 0};
      lock.unlock();
      write(*target, batch);
      batch = {};      // Large, and not to be freed under the lock.
      target.reset();  // The same.
      lock.lock();
    }
    ended_ = true;
    end_.notify_all();
  }

  /// False: the thread still hangs after our patience.  It reports nothing any more.
  bool stop() {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    work_.notify_one();
    abandoned_ = !end_.wait_for(lock, limits_.patience, [this] { return ended_; });
    return !abandoned_;
  }

  std::thread thread;

 private:
  void wake(const std::shared_ptr<Target>& target) {
    if (stopping_ || std::exchange(target->waiting, true)) return;
    waiting_.push_back(target);
    work_.notify_one();
  }

  void write(Target& target, const Batch& batch) {
    const auto now = std::chrono::system_clock::now();
    std::string text;
    if (target.lost > 0) append_missing(text, now, target.lost, "they could not be written");
    const std::size_t begin = text.size();
    text += batch.lines;
    const std::size_t end = text.size();
    if (batch.left_out > 0) {
      append_missing(text, now, batch.left_out, "they came faster than they were written");
    }
    if (!text.empty()) {
      // Or a disk that is almost full would be filled with lines which say that one is missing.
      const std::size_t together = begin > 0 ? text.find('\n', begin) + 1 : 0;
      const auto [written, error] = target.file.append(text, batch.rotation, together);
      if (written >= begin) target.lost = 0;
      std::uint64_t lost = written < text.size() ? batch.left_out : 0;
      if (written < end) {
        const std::size_t from = std::max(begin, written);
        lost += count_lines(std::string_view(text).substr(from, end - from));
      }
      target.lost += lost;
      target.untold_lost += lost;
      if (batch.left_out > 0) tell_left_out(target, batch.left_out);
      tell_state(target, error ? error->message : "");
    }
    if (batch.last) target.file.close();
  }

  void tell_state(Target& target, const std::string& problem) {
    {
      const std::lock_guard lock(mutex_);
      target.problem = problem;
    }
    if (!problem.empty() && !target.told_failure && target.failing.may()) {
      target.told_failure = true;
      tell({.kind = Kind::kFailed, .plugin = target.plugin, .detail = problem});
    }
    if (problem.empty() && std::exchange(target.told_failure, false)) {
      tell({.kind = Kind::kWorks,
            .plugin = target.plugin,
            .lines = std::exchange(target.untold_lost, 0)});
    }
  }

  void tell(const Report& report) const {
    if (!abandoned_) report_(report);
  }

  void tell_left_out(Target& target, std::uint64_t lines) const {
    target.untold_left_out += lines;
    if (!target.leaving_out.may()) return;
    tell({.kind = Kind::kLeftOut,
          .plugin = target.plugin,
          .lines = std::exchange(target.untold_left_out, 0)});
  }

  const std::filesystem::path directory_;
  const std::function<void(const Report&)> report_;
  const Limits limits_;

  mutable std::mutex mutex_;
  std::condition_variable work_, end_;
  std::map<std::string, std::weak_ptr<Target>> targets_;
  std::deque<std::shared_ptr<Target>> waiting_;
  bool stopping_ = false;
  bool ended_ = false;
  std::atomic<bool> abandoned_ = false;
};

namespace {

template <class Shared>
class Following final : public plugin::OutputFile {
 public:
  Following(std::shared_ptr<Shared> shared, const plugin::Manifest& manifest,
            plugin::OutputLog& log)
      : shared_(std::move(shared)),
        target_(shared_->join(manifest)),
        lines_(log.follow([shared = shared_, target = target_](const plugin::LogLine& line) {
          shared->add(target, line);
        })) {}
  ~Following() override { shared_->leave(target_); }

  std::filesystem::path path() const override { return target_->file.path(); }
  std::string problem() const override { return shared_->problem_of(*target_); }

 private:
  const std::shared_ptr<Shared> shared_;
  const std::shared_ptr<Target> target_;
  const plugin::OutputLog::Subscription lines_;
};

}  // namespace

OutputWriter::OutputWriter(std::filesystem::path directory,
                           std::function<void(const Report&)> report)
    : OutputWriter(std::move(directory), std::move(report), Limits{}) {}

OutputWriter::OutputWriter(std::filesystem::path directory,
                           std::function<void(const Report&)> report, Limits limits)
    : shared_(std::make_shared<Shared>(std::move(directory), std::move(report), limits)) {
  shared_->thread = std::thread([shared = shared_] { shared->run(); });
}

OutputWriter::~OutputWriter() {
  if (shared_->stop()) {
    shared_->thread.join();
  } else {
    shared_->thread.detach();
  }
}

std::shared_ptr<plugin::OutputFile> OutputWriter::open(const plugin::Manifest& manifest,
                                                       plugin::OutputLog& log) {
  if (manifest.output.files == 0) return nullptr;
  return std::make_shared<Following<Shared>>(shared_, manifest, log);
}

}  // namespace plugind::app
