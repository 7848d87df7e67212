#include "daemon/platform/program_file.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>

#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {
namespace {

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
void read_elf(int fd, bool swap, bool is_64, ProgramHeader& header) {
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

/// A loader that has `--list`.  Whatever else a program names as its interpreter would be run as a
/// program of its own, with arguments that it does not expect.
bool is_known_loader(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename();
  return name.starts_with("ld-linux") || name.starts_with("ld-musl") ||
         name.starts_with("ld64.so") || name.starts_with("ld.so");
}

void add_line(std::string& text, std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t");
  if (begin == line.npos) return;
  text += (text.empty() ? "" : "; ") + std::string(line.substr(begin));
}

template <typename Function>
void for_each_line(std::string_view text, Function function) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    function(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

std::optional<ProgramHeader> read_program_header(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return std::nullopt;
  std::array<char, 256> buffer{};
  const ssize_t n = ::pread(fd.get(), buffer.data(), buffer.size(), 0);
  if (n < 0) return std::nullopt;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(n));
  ProgramHeader header;
  if (text.starts_with("#!")) {
    header.kind = ProgramHeader::Kind::kScript;
    std::string_view line = text.substr(2, text.find('\n') - 2);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    header.interpreter = line.substr(0, end);
    // The kernel passes what follows as one argument.
    line.remove_prefix(std::min(line.find_first_not_of(" \t", end), line.size()));
    header.interpreter_argument = line.substr(0, line.find_last_not_of(" \t") + 1);
  } else if (text.starts_with(ELFMAG) && n >= EI_NIDENT) {
    header.kind = ProgramHeader::Kind::kElf;
    const bool little = buffer[EI_DATA] == ELFDATA2LSB;
    const bool swap = little != (std::endian::native == std::endian::little);
    if (buffer[EI_CLASS] == ELFCLASS64) {
      read_elf<Elf64_Ehdr, Elf64_Phdr>(fd.get(), swap, true, header);
    } else {
      read_elf<Elf32_Ehdr, Elf32_Phdr>(fd.get(), swap, false, header);
    }
  } else if (text.starts_with("MZ")) {
    header.kind = ProgramHeader::Kind::kForeign;
    header.format = "Windows";
  } else if (text.starts_with("\xcf\xfa\xed\xfe") || text.starts_with("\xca\xfe\xba\xbe")) {
    header.kind = ProgramHeader::Kind::kForeign;
    header.format = "macOS";
  } else if (n > 0) {
    header.kind = ProgramHeader::Kind::kPlain;
  }
  return header;
}

std::optional<ProgramQuestion> library_question(const std::string& path) {
  const auto header = read_program_header(path);
  if (!header || header->kind != ProgramHeader::Kind::kElf ||
      !is_known_loader(header->interpreter)) {
    return std::nullopt;
  }
  return ProgramQuestion{header->interpreter, {"--list", path}};
}

LibraryAnswer read_library_answer(bool succeeded, std::string_view out, std::string_view err) {
  LibraryAnswer answer;
  for_each_line(out, [&](std::string_view line) {
    if (has(line, "=> not found")) add_line(answer.missing, line);
  });
  for_each_line(err, [&](std::string_view line) {
    // A preloaded library that is not there is left out; a version that is not there ends the
    // program, although listing goes on.
    const bool fatal = !succeeded || has(line, "not found");
    add_line(fatal ? answer.missing : answer.warnings, line);
  });
  if (!succeeded && answer.missing.empty()) answer.missing = "its loader gave no reason";
  return answer;
}

}  // namespace plugind::platform
