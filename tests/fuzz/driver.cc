// Runs a fuzz target without a fuzzing engine, so that any compiler can: the corpus as it is, then
// mutations of it, the same ones for the same seed.  With clang, link -fsanitize=fuzzer instead.
//
// usage: TARGET [--runs=N] [--seed=N] FILE|DIRECTORY…
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kMaxInput = 8192;

const std::string* current_input = nullptr;

// Shows the input that it died of.
extern "C" void on_crash(int signal_number) {
  if (current_input != nullptr) {
    constexpr std::string_view kText = "\nthe target died of this input:\n";
    (void)!write(2, kText.data(), kText.size());
    (void)!write(2, current_input->data(), current_input->size());
    (void)!write(2, "\n", 1);
  }
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

void run(const std::string& input) {
  current_input = &input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  current_input = nullptr;
}

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Mutator {
 public:
  Mutator(std::vector<std::string> corpus, std::uint64_t seed)
      : corpus_(std::move(corpus)), random_(seed) {}

  std::string next() {
    std::string input = pick();
    for (std::size_t steps = 1 + below(6); steps > 0; --steps) mutate(input);
    input.resize(std::min(input.size(), kMaxInput));
    return input;
  }

 private:
  const std::string& pick() { return corpus_[below(corpus_.size())]; }
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void mutate(std::string& input) {
    const std::size_t at = below(input.size() + 1);
    const std::size_t length = below(std::min<std::size_t>(input.size() - at + 1, 64));
    switch (below(6)) {
      case 0:  // a byte of the kinds that matter
        input.insert(at, 1, kBytes[below(kBytes.size())]);
        break;
      case 1:  // any byte
        if (at < input.size()) input[at] = static_cast<char>(random_());
        break;
      case 2:
        input.erase(at, length);
        break;
      case 3:  // a piece, again and again
        for (std::size_t times = below(40); times > 0; --times) {
          input.insert(at, input.substr(at, length));
          if (input.size() > kMaxInput) break;
        }
        break;
      case 4: {  // a piece of another one
        const std::string& other = pick();
        const std::size_t from = below(other.size() + 1);
        input.insert(at, other, from, below(other.size() - from + 1));
        break;
      }
      default:
        input.resize(at);
    }
  }

  static constexpr std::string_view kBytes{"\n\r\t \"'=.,#|[]{}\\019aA\0\x7f\x80\xff", 28};
  std::vector<std::string> corpus_;
  std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t runs = 20'000, seed = 1;
  std::vector<std::string> corpus;
  for (const std::string_view argument : std::vector<std::string_view>(argv + 1, argv + argc)) {
    const auto number = [&](std::string_view prefix, std::uint64_t& value) {
      if (!argument.starts_with(prefix)) return false;
      const char* const end = argument.data() + argument.size();
      return std::from_chars(argument.data() + prefix.size(), end, value).ptr == end;
    };
    if (number("--runs=", runs) || number("--seed=", seed)) continue;
    if (std::filesystem::is_directory(argument)) {
      std::vector<std::filesystem::path> files;
      for (const auto& entry : std::filesystem::directory_iterator(argument))
        files.push_back(entry);
      std::ranges::sort(files);
      for (const auto& file : files) corpus.push_back(read(file));
    } else {
      corpus.push_back(read(argument));
    }
  }
  if (corpus.empty()) {
    std::fprintf(stderr, "usage: %s [--runs=N] [--seed=N] FILE|DIRECTORY…\n", argv[0]);
    return 2;
  }
  for (const int signal_number : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE}) {
    signal(signal_number, on_crash);
  }
  for (const std::string& input : corpus) run(input);
  Mutator mutator(corpus, seed);
  for (std::uint64_t i = 0; i < runs; ++i) run(mutator.next());
  std::printf("%zu inputs and %llu mutations\n", corpus.size(),
              static_cast<unsigned long long>(runs));
}
