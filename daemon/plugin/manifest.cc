#include "daemon/plugin/manifest.h"

#include <algorithm>
#include <fstream>
#include <system_error>
#include <utility>

#include "daemon/plugin/manifest_parser.h"
#include "daemon/plugin/printable.h"

namespace plugind::plugin {
namespace {

constexpr std::size_t kMaxManifests = 4096;

void add_line(std::string& text, std::string_view line) {
  if (!text.empty()) text += '\n';
  text += line;
}

Error all_of(const std::vector<Mistake>& mistakes, const std::filesystem::path& file) {
  std::string text;
  for (const Mistake& mistake : mistakes) add_line(text, describe(mistake, file));
  return make_error(Reason::kManifestInvalid, std::move(text));
}

// The text of a file, read no further than the bound that the parser checks.
std::expected<std::string, std::string> read_text(const std::filesystem::path& file) {
  std::error_code problem;
  if (!std::filesystem::is_regular_file(file, problem)) {
    return std::unexpected(problem ? problem.message() : "it is not a regular file");
  }
  std::ifstream stream(file, std::ios::binary);
  std::string text(kMaxManifestBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad() || !(stream.eof() || stream.good())) {
    return std::unexpected(std::string("it cannot be read; check its permissions"));
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

std::expected<std::vector<std::filesystem::path>, Error> manifest_files(
    const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  std::error_code problem;
  for (std::filesystem::directory_iterator it(directory, problem), end; !problem && it != end;
       it.increment(problem)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.') || it->path().extension() != ".toml") continue;
    files.push_back(it->path());
    if (files.size() > kMaxManifests) {
      return std::unexpected(make_error(
          Reason::kManifestInvalid,
          directory.string() + " holds more than " + std::to_string(kMaxManifests) + " manifests"));
    }
  }
  if (problem) {
    return std::unexpected(
        make_error(Reason::kManifestInvalid, "the manifests' directory " + directory.string() +
                                                 " cannot be read: " + problem.message() +
                                                 "; create it or name another one"));
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

std::expected<Manifest, Error> parse_manifest(std::string_view text,
                                              const std::filesystem::path& file,
                                              const AccountLookup& accounts) {
  auto parsed = parse_manifest_text(text, file, accounts);
  if (!parsed) return std::unexpected(all_of(parsed.error(), file));
  return std::move(parsed->manifest);
}

std::expected<std::vector<Manifest>, Error> load_manifests(const std::filesystem::path& directory,
                                                           const AccountLookup& accounts) {
  const auto files = manifest_files(directory);
  if (!files) return std::unexpected(files.error());
  std::vector<Manifest> manifests;
  std::map<std::string, std::filesystem::path> known;
  std::string mistakes;
  for (const std::filesystem::path& file : *files) {
    const auto text = read_text(file);
    if (!text) {
      add_line(mistakes, describe({1, 1, text.error()}, file));
      continue;
    }
    auto parsed = parse_manifest_text(*text, file, accounts);
    if (!parsed) {
      add_line(mistakes, all_of(parsed.error(), file).message);
      continue;
    }
    Manifest& manifest = parsed->manifest;
    const auto [first, fresh] = known.try_emplace(manifest.name, file);
    if (!fresh) {
      add_line(mistakes,
               describe({parsed->name_line, parsed->name_column,
                         "plugin \"" + manifest.name + "\" is in " + first->second.string() +
                             " already; rename one, or remove the file"},
                        file));
    }
    manifests.push_back(std::move(manifest));
  }
  if (!mistakes.empty()) {
    return std::unexpected(make_error(Reason::kManifestInvalid, std::move(mistakes)));
  }
  return manifests;
}

}  // namespace plugind::plugin
