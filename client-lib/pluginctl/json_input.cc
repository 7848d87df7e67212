#include "client-lib/pluginctl/json_input.h"

#include <array>
#include <fstream>
#include <iostream>
#include <sstream>

#include "client-lib/pluginctl/terminal.h"

namespace plugind::pluginctl {

Result<std::unique_ptr<JsonInput>> JsonInput::open(const std::optional<std::string>& data,
                                                   bool interactive) {
  std::unique_ptr<JsonInput> input(new JsonInput);
  if (!data) {
    if (interactive || !stdin_is_terminal()) input->stream_ = &std::cin;
    return input;
  }
  if (*data == "@-") {
    input->stream_ = &std::cin;
    return input;
  }
  if (data->starts_with('@')) {
    const std::string file = data->substr(1);
    auto stream = std::make_unique<std::ifstream>(file, std::ios::binary);
    if (!*stream) return usage("cannot read '" + file + "', which -d names");
    input->owned_ = std::move(stream);
  } else {
    input->owned_ = std::make_unique<std::istringstream>(*data);
  }
  input->stream_ = input->owned_.get();
  return input;
}

Result<std::optional<std::string>> JsonInput::next() {
  for (;;) {
    auto value = splitter_.next();
    if (!value) return usage(value.error());
    if (*value || ended_ || stream_ == nullptr) return std::move(*value);
    // What there is: a program at the other end of a pipe gets its answers in time.
    if (stream_->peek() == std::istream::traits_type::eof()) {
      splitter_.finish();
      ended_ = true;
      continue;
    }
    std::array<char, 64 << 10> buffer;
    std::streamsize size = stream_->readsome(buffer.data(), buffer.size());
    if (size <= 0) {  // The stream does not say how much there is.
      buffer[0] = static_cast<char>(stream_->get());
      size = 1;
    }
    splitter_.feed({buffer.data(), static_cast<std::size_t>(size)});
  }
}

}  // namespace plugind::pluginctl
