// Protobuf messages as JSON, and JSON values one after another as input.
#pragma once

#include <google/protobuf/message.h>

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace plugind::pluginctl {

enum class JsonStyle {
  kLine,    ///< On one line.
  kPretty,  ///< Over several lines, indented.
};
enum class JsonFields {
  kAll,  ///< Also fields that have their default value.
  kSet,
};

/// The canonical JSON of protobuf: lowerCamelCase names, 64-bit integers as strings.  The error
/// says what cannot be written.
std::expected<std::string, std::string> to_json(const google::protobuf::Message& message,
                                                JsonStyle style,
                                                JsonFields fields = JsonFields::kSet);

/// Reads `json` into `message`, which is empty before.  The error says what is wrong.
std::expected<void, std::string> from_json(std::string_view json,
                                           google::protobuf::Message& message);

/// `text` with every byte that is not UTF-8 replaced by "?", as JSON needs it.
std::string valid_utf8(std::string_view text);

/// Cuts a text that comes in pieces into JSON values, separated by white space or by nothing where
/// that is not ambiguous.  Finds where values end; whether they are valid, from_json says.
class JsonSplitter {
 public:
  /// The longest value that is taken, in bytes.
  static constexpr std::size_t kMaxValue = 512u << 20;

  void feed(std::string_view text) { text_.append(text); }
  /// No more text comes: what is left is a value if it is not white space.
  void finish() { finished_ = true; }
  /// The next whole value, or nothing until more text is fed.  The error: a value is too long or
  /// does not end.
  std::expected<std::optional<std::string>, std::string> next();

 private:
  std::optional<std::string> take(std::size_t end);

  std::string text_;
  std::size_t seen_ = 0;  ///< How much of text_ has been looked at.
  int depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool started_ = false;
  bool finished_ = false;
};

}  // namespace plugind::pluginctl
