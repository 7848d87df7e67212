#include "client-lib/pluginctl/json.h"

#include <google/protobuf/util/json_util.h>

namespace plugind::pluginctl {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

bool is_space(char c) { return kSpace.find(c) != std::string_view::npos; }

std::size_t utf8_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t size = byte(0) < 0x80                      ? 1
                           : byte(0) >= 0xC2 && byte(0) < 0xE0 ? 2
                           : byte(0) >= 0xE0 && byte(0) < 0xF0 ? 3
                           : byte(0) >= 0xF0 && byte(0) < 0xF5 ? 4
                                                               : 0;
  if (size == 0 || size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, beyond U+10FFFF.
  if (byte(0) == 0xE0 && byte(1) < 0xA0) return 0;
  if (byte(0) == 0xED && byte(1) > 0x9F) return 0;
  if (byte(0) == 0xF0 && byte(1) < 0x90) return 0;
  if (byte(0) == 0xF4 && byte(1) > 0x8F) return 0;
  return size;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t size = utf8_size(text);
    result.append(size == 0 ? "?" : text.substr(0, size));
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return result;
}

std::expected<std::string, std::string> to_json(const google::protobuf::Message& message,
                                                JsonStyle style, JsonFields fields) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = style == JsonStyle::kPretty;
  options.always_print_primitive_fields = fields == JsonFields::kAll;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) return std::unexpected(status.message().ToString());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::expected<void, std::string> from_json(std::string_view json,
                                           google::protobuf::Message& message) {
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), &message);
  if (!status.ok()) return std::unexpected(status.message().ToString());
  return {};
}

std::optional<std::string> JsonSplitter::take(std::size_t end) {
  std::string value = text_.substr(0, end);
  text_.erase(0, end);
  seen_ = 0;
  started_ = false;
  return value;
}

std::expected<std::optional<std::string>, std::string> JsonSplitter::next() {
  if (!started_) {
    text_.erase(0, text_.find_first_not_of(kSpace));
    if (text_.empty()) return std::nullopt;
    started_ = true;
  }
  for (; seen_ < text_.size(); ++seen_) {
    const char c = text_[seen_];
    if (in_string_) {
      const bool ends = !escaped_ && c == '"';
      escaped_ = !escaped_ && c == '\\';
      if (!ends) continue;
      in_string_ = false;
      if (depth_ == 0) return take(seen_ + 1);
    } else if (depth_ == 0 && seen_ > 0 && (is_space(c) || c == '{' || c == '[' || c == '"')) {
      return take(seen_);  // A number or a word has ended.
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && --depth_ <= 0) {
      depth_ = 0;
      return take(seen_ + 1);
    }
  }
  if (text_.size() > kMaxValue) {
    return std::unexpected("a JSON value is longer than " + std::to_string(kMaxValue >> 20) +
                           " MiB");
  }
  if (!finished_) return std::nullopt;
  if (in_string_ || depth_ > 0) {
    return std::unexpected("the last JSON value does not end: " +
                           std::string(in_string_ ? "a '\"'" : "a bracket") + " is not closed");
  }
  return take(text_.size());
}

}  // namespace plugind::pluginctl
